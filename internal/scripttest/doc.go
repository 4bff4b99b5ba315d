// Package scripttest runs script tests: one txtar file each, in which a reader
// sees the configuration, the requests and what must come of them. Each script
// runs once over each protocol: http (HTTP/1.1), https (HTTP/1.1 over TLS), h2
// (over TLS), h2c (prior knowledge) and h3.
//
//	# a path without a route is a problem with a code
//	upstream orders 200 'ok'
//	gateway gopura.yaml
//	request GET /nothing
//	status 404
//	json .code no_route
//	upstream-calls orders 0
//	access code=no_route side=client
//	-- gopura.yaml --
//	listen: ${listen}
//	services:
//	  orders: http://${orders}
//	…
//
// # Lines
//
// A line is a command and its words. 'single quotes' keep everything as it is;
// "double quotes" know Go's escapes; both may stand inside a word. "#" starts a comment. "! command" expects
// it to fail. "repeat N command" runs it N times. ${name} stands, in words and
// in files, for: the address of the upstream of that name; listen (the value of
// the configuration's listen key for the protocol); gateway and admin (their
// addresses); scheme; dir. What contains a colon (${env:X}) is the
// configuration's own and stays.
//
// # Commands
//
//	protocols P…                     only over these; the first command
//	gateway [FILE]                   start it (gopura.yaml); ! gateway FILE TEXT: it refuses, saying TEXT
//	reload [FILE]                    replace the configuration by FILE and reload; ! reload FILE TEXT
//	wait DURATION
//
//	upstream NAME [STATUS [BODY]]    what it answers from now on; nothing said: 200 and its own name.
//	    -header 'K: V'  -file FILE  -size 1MiB  -echo (what it received)  -chunked  -until-close
//	    -trailer 'K: V'  -inform 103  -delay 100ms (before the head)  -pause 100ms (before the body)
//	    -close (no answer)  -reset (no answer, RST)  -hang (no answer, ever)  -cut 10 (close after 10 bytes of body)
//	    -raw FILE (these bytes)  -times N (so often; the next upstream line says what follows)
//	    -gzip (the body compressed)  -path /x (only to requests of that path, whatever other lines say)
//	stop-upstream NAME               connections are refused from now on; start-upstream NAME: no more
//	upstream-calls NAME N            or N..M: so many requests came
//	upstream-saw NAME LINE…          lines of the head of the last request; -match RE, -call N
//	upstream-body NAME [TEXT]        body of the last request; -size, -match, -file, -call; -broken: it never ended
//	upstream-trailer NAME K V
//	upstream-connections NAME N      or N..M: so many connections were made
//
//	request METHOD TARGET            -host H  -header 'K: V'  -body TEXT  -file FILE  -size 1MiB  -chunked
//	    -trailer 'K: V'  -expect (100-continue)  -break 10 (leave after 10 bytes of body)  -timeout 30s
//	    -listener NAME  -admin  -until STATUS (try again for 5s)
//	status N                         of the last answer
//	header NAME [VALUE]              -match RE.  trailer NAME [VALUE]
//	body TEXT                        -contains, -match, -file, -size, -empty
//	json PATH [VALUE]                .code, .items[0].id
//	broken                           the answer broke off. An answer that did without this line fails the test
//	continued                        100 came before the answer; informed STATUS: another interim answer
//	access KEY=VALUE…                a record of the last request; =* is anything but empty, =~RE matches
//
//	raw FILE                         the bytes of FILE to a listener (newlines dropped, \r \n \xHH understood)
//	    -listener NAME  -wait 300ms (for the answer to go on)
//	answer TEXT                      in the bytes that came back; -match RE, -count N, -closed, -open, -empty
package scripttest
