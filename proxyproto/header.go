package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
)

// Header is what a balancer says about a connection.
type Header struct {
	// Source is the client, Destination the address that it connected to. Both
	// are invalid when the balancer speaks for itself (its health checks), or
	// does not know.
	Source, Destination netip.AddrPort
}

// Limits of a header. Version 1 fixes its own (§2.1); the fields that version 2
// may append are of no use here, and nobody sends more of them than this.
const (
	maxLine  = 107
	maxBlock = 4 << 10
)

// The first bytes tell the versions apart. A header is never shorter.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

var (
	errNone      = errors.New("no PROXY header")
	errAddresses = errors.New("addresses that can't be read")
)

// Read reads a header from r, and not a byte beyond it. It returns io.EOF when
// the connection ends before its first byte, as that of a health check does.
func Read(r io.Reader) (Header, error) {
	var start [len(signature)]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return Header{}, err
	}
	switch {
	case string(start[:]) == signature:
		return readBlock(r)
	case bytes.HasPrefix(start[:], []byte("PROXY ")):
		return readLine(r, start[:])
	}
	return Header{}, fmt.Errorf("%w: the connection begins with %q", errNone, start[:])
}

// readLine reads the rest of a version 1 header, byte by byte: behind its end
// begins what is the client's.
func readLine(r io.Reader, start []byte) (Header, error) {
	line := append(make([]byte, 0, maxLine), start...)
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == maxLine {
			return Header{}, fmt.Errorf("a line of more than %d bytes", maxLine)
		}
		n := len(line)
		if _, err := io.ReadFull(r, line[n:n+1]); err != nil {
			return Header{}, midway(err)
		}
		line = line[:n+1]
	}
	words := bytes.Split(line[len("PROXY "):len(line)-2], []byte(" "))
	switch family := string(words[0]); {
	case family == "UNKNOWN": // the rest of the line has no meaning (§2.1)
		return Header{}, nil
	case family != "TCP4" && family != "TCP6":
		return Header{}, fmt.Errorf("the protocol %q", family)
	case len(words) != 5:
		return Header{}, errAddresses
	default:
		source, ok1 := endpoint(words[1], words[3], family == "TCP4")
		destination, ok2 := endpoint(words[2], words[4], family == "TCP4")
		if !ok1 || !ok2 {
			return Header{}, errAddresses
		}
		return Header{source, destination}, nil
	}
}

func endpoint(host, port []byte, v4 bool) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(string(host))
	if err != nil || addr.Is4() != v4 || addr.Zone() != "" {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' || port[0] == '+' {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), true
}

// readBlock reads the rest of a version 2 header (§2.2).
func readBlock(r io.Reader) (Header, error) {
	var fixed [4]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return Header{}, midway(err)
	}
	version, command, family, length := fixed[0]>>4, fixed[0]&0xf, fixed[1], int(binary.BigEndian.Uint16(fixed[2:]))
	switch {
	case version != 2:
		return Header{}, fmt.Errorf("the version %d", version)
	case command > 1:
		return Header{}, fmt.Errorf("the command %d", command)
	case length > maxBlock:
		return Header{}, fmt.Errorf("a header of %d bytes: more than %d", length, maxBlock)
	}
	block := make([]byte, length)
	if _, err := io.ReadFull(r, block); err != nil {
		return Header{}, midway(err)
	}
	if command == 0 { // LOCAL: the balancer's own connection
		return Header{}, nil
	}
	size := 0
	switch family >> 4 {
	case 1: // AF_INET
		size = 4
	case 2: // AF_INET6
		size = 16
	default: // not known, or a socket file: nothing that is an address here
		return Header{}, nil
	}
	if family&0xf != 1 { // STREAM
		return Header{}, fmt.Errorf("the transport %d over a TCP connection", family&0xf)
	}
	if length < 2*size+4 {
		return Header{}, errAddresses
	}
	source, _ := netip.AddrFromSlice(block[:size])
	destination, _ := netip.AddrFromSlice(block[size : 2*size])
	ports := block[2*size:]
	return Header{
		netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(ports)),
		netip.AddrPortFrom(destination.Unmap(), binary.BigEndian.Uint16(ports[2:])),
	}, nil
}

func midway(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
