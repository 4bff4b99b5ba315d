// Numbers and times as people read them. What is unknown is a dash.
export const none = '–'

// count: 0, 0.2, 4.7, 182, 1.24k, 3.1M
export function count(n) {
  if (n == null || Number.isNaN(n)) return none
  const a = Math.abs(n)
  if (a === 0) return '0'
  if (a < 0.095) return n.toFixed(2)
  if (a < 10) return trim(n.toFixed(1))
  if (a < 1000) return String(Math.round(n))
  if (a < 10000) return trim((n / 1000).toFixed(2)) + 'k'
  if (a < 1e6) return trim((n / 1000).toFixed(1)) + 'k'
  return trim((n / 1e6).toFixed(1)) + 'M'
}
const trim = (s) => s.includes('.') ? s.replace(/\.?0+$/, '') : s

export const whole = (n) => n == null ? none : Math.round(n).toLocaleString('en')

export function ms(n) {
  if (n == null || Number.isNaN(n)) return none
  if (n === 0) return '0 ms'
  if (n < 1) return n.toFixed(2) + ' ms'
  if (n < 10) return n.toFixed(1) + ' ms'
  if (n < 1000) return Math.round(n) + ' ms'
  if (n < 60000) return (n / 1000).toFixed(n < 10000 ? 2 : 1) + ' s'
  return Math.round(n / 60000) + ' min'
}

// share: of part in all, in percent
export function share(part, all) {
  if (!all) return none
  const p = 100 * (part || 0) / all
  if (p === 0) return '0 %'
  if (p < 0.1) return '< 0.1 %'
  return (p < 10 ? trim(p.toFixed(1)) : Math.round(p)) + ' %'
}

export function bytes(n) {
  if (n == null) return none
  if (n < 1024) return n + ' B'
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let i = -1
  do { n /= 1024; i++ } while (n >= 1024 && i < units.length - 1)
  return (n < 10 ? n.toFixed(1) : Math.round(n)) + ' ' + units[i]
}

export function span(seconds) {
  if (seconds == null) return none
  const s = Math.max(0, Math.round(seconds))
  if (s < 60) return s + ' s'
  if (s < 3600) return Math.floor(s / 60) + ' min'
  if (s < 48 * 3600) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min'
  return Math.floor(s / 86400) + ' days'
}

export const ago = (time, now = Date.now()) => {
  if (!time) return none
  const s = (now - Date.parse(time)) / 1000
  return s < 5 ? 'just now' : span(s) + ' ago'
}

const two = (n) => String(n).padStart(2, '0')

export function clock(time, fine) {
  const d = new Date(time)
  if (Number.isNaN(+d)) return none
  return two(d.getHours()) + ':' + two(d.getMinutes()) + ':' + two(d.getSeconds()) + (fine ? '.' + String(d.getMilliseconds()).padStart(3, '0') : '')
}

export function date(time) {
  const d = new Date(time)
  if (!time || Number.isNaN(+d)) return none
  return d.getFullYear() + '-' + two(d.getMonth() + 1) + '-' + two(d.getDate()) + ' ' + two(d.getHours()) + ':' + two(d.getMinutes())
}
