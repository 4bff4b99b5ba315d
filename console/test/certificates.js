// Certificates of an authority of our own, by openssl: name → days that are left.
'use strict'
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')

// stamp is a time as openssl has it: 20260102030405Z.
const stamp = (days) => new Date(Date.now() + days * 86400e3).toISOString().replace(/[-:T]|\.\d+/g, '')

// issue makes NAME.pem and NAME.key in dir for each [name, days since, days left].
function issue(dir, list) {
  const ssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  ssl('req', '-x509', ...p256, '-days', '3650', '-subj', '/CN=Test Authority', '-keyout', 'ca.key', '-out', 'ca.pem')
  fs.writeFileSync(path.join(dir, 'index'), '')
  fs.writeFileSync(path.join(dir, 'ca.cnf'), '[ca]\ndefault_ca = d\n[d]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\ndefault_md = sha256\npolicy = p\ncopy_extensions = copy\nunique_subject = no\n[p]\ncommonName = supplied\n')
  for (const [name, since, left] of list) {
    ssl('req', '-new', ...p256, '-subj', '/CN=' + name, '-addext', 'subjectAltName=DNS:' + name, '-keyout', name + '.key', '-out', name + '.csr')
    ssl('ca', '-batch', '-config', 'ca.cnf', '-cert', 'ca.pem', '-keyfile', 'ca.key', '-in', name + '.csr', '-out', name + '.pem', '-notext', '-startdate', stamp(-since), '-enddate', stamp(left))
  }
}

module.exports = { issue }
