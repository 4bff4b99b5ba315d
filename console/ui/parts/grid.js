// A table of any length: only the rows in sight are in the document. It takes
// the focus as a whole; arrows move, Enter opens.
import { html, useEffect, useLayoutEffect, useRef, useState, useMemo } from '../html.js'
import { Icon } from './icons.js'

let ids = 0

// Grid: columns are {title, width (of a grid track), of(row) → cell, sort?(row) → value, num?}.
// drop says which columns step back where there is no room, 1 first: what is left
// out stands on the page that a row opens. sort is {by, down}. onOpen(row) makes rows clickable. stick keeps what is
// looked at in place while rows are added at the top.
export function Grid({ label, columns: all, rows, keyOf, height = 36, sort, onSort, onOpen, chosen, empty, stick, onRange, short }) {
  const ref = useRef()
  const [id] = useState(() => 'grid' + ++ids)
  const [view, setView] = useState({ top: 0, size: 800, width: 0 })
  const [columns, least] = fitting(all, view.width || Infinity)
  const [active, setActive] = useState(-1)
  const anchor = useRef(null)

  useEffect(() => {
    const el = ref.current
    const look = () => setView((v) => (v.top === el.scrollTop && v.size === el.clientHeight && v.width === el.clientWidth ? v : { top: el.scrollTop, size: el.clientHeight, width: el.clientWidth }))
    const o = new ResizeObserver(look)
    o.observe(el)
    el.addEventListener('scroll', look, { passive: true })
    look()
    return () => { o.disconnect(); el.removeEventListener('scroll', look) }
  }, [])

  const first = Math.max(0, Math.floor(view.top / height) - 6)
  const last = Math.min(rows.length, Math.ceil((view.top + view.size) / height) + 6)

  // Rows that come in above push what is read away: scroll with it.
  useLayoutEffect(() => {
    const el = ref.current
    if (!stick || rows.length === 0) { anchor.current = null; return }
    const a = anchor.current
    if (a && el.scrollTop > height) {
      const i = rows.findIndex((r) => keyOf(r) === a.key)
      if (i >= 0 && i !== a.index) el.scrollTop += (i - a.index) * height
    }
    const i = Math.min(rows.length - 1, Math.floor(el.scrollTop / height))
    anchor.current = { key: keyOf(rows[i]), index: i }
  })

  useEffect(() => { if (onRange) onRange(rows.slice(Math.floor(view.top / height), last)) }, [first, last, rows])

  const show = (i) => {
    const el = ref.current, y = i * height
    if (y < el.scrollTop) el.scrollTop = y
    else if (y + height + 34 > el.scrollTop + el.clientHeight) el.scrollTop = y + height + 36 - el.clientHeight
  }
  const move = (to, e) => {
    e.preventDefault()
    const i = Math.max(0, Math.min(rows.length - 1, to))
    setActive(i)
    show(i)
  }
  const page = Math.max(1, Math.floor(view.size / height) - 2)
  const key = (e) => {
    if (e.target !== ref.current || e.ctrlKey || e.metaKey || e.altKey) return
    switch (e.key) {
      case 'ArrowDown': case 'j': return move(active + 1, e)
      case 'ArrowUp': case 'k': return move(active - 1, e)
      case 'PageDown': return move(active + page, e)
      case 'PageUp': return move(active - page, e)
      case 'Home': return move(0, e)
      case 'End': return move(rows.length - 1, e)
      case 'Enter': if (onOpen && rows[active]) { e.preventDefault(); onOpen(rows[active]) }
    }
  }
  const style = { '--columns': columns.map((c) => c.width || 'minmax(0, 1fr)').join(' '), '--least': least + 'px' }
  if (short) style.height = Math.min(rows.length * height + 37, 460) + 'px'
  const seen = rows.slice(first, last)
  return html`<div ref=${ref} class=${'grid' + (onOpen ? '' : ' still') + (short ? ' short' : '')} role="grid" tabindex="0" aria-label=${label} aria-rowcount=${rows.length + 1} aria-colcount=${columns.length}
      aria-activedescendant=${active >= first && active < last ? id + '-' + active : undefined} onKeyDown=${key} style=${style}>
    <div role="rowgroup"><div role="row" class="top" aria-rowindex="1">${columns.map((c, i) => html`<div role="columnheader" aria-colindex=${i + 1} class=${c.num ? 'num' : ''}
      aria-sort=${c.sort && sort && sort.by === c.title ? (sort.down ? 'descending' : 'ascending') : undefined}>${
        c.sort && onSort ? html`<button type="button" tabindex="-1" onClick=${() => onSort({ by: c.title, down: sort && sort.by === c.title ? !sort.down : !!c.num })}>${c.title}${sort && sort.by === c.title && html`<${Icon} name=${sort.down ? 'down' : 'up'} size=${10}/>`}</button>`
          : c.title || html`<span class="hidden-text">${c.hidden || 'more'}</span>`}</div>`)}</div></div>
    <div role="rowgroup" class="rows" style=${{ height: rows.length * height + 'px' }}>${seen.map((row, k) => {
      const i = first + k
      return html`<div key=${keyOf(row)} id=${id + '-' + i} role="row" aria-rowindex=${i + 2} aria-selected=${chosen != null ? (keyOf(row) === chosen ? 'true' : 'false') : undefined}
        class=${'item' + (i === active ? ' active' : '')} style=${{ top: i * height + 'px', height: height - 1 + 'px' }} onClick=${onOpen && (() => { setActive(i); onOpen(row) })}>${
          columns.map((c, j) => html`<div role="gridcell" aria-colindex=${j + 1} class=${'cell' + (c.num ? ' num' : '')}>${c.of(row)}</div>`)}</div>`
    })}</div>
    ${rows.length === 0 && empty}
  </div>`
}

// fitting leaves out columns until the rest has room: [columns, what they need].
function fitting(columns, width) {
  const need = (list) => list.reduce((sum, c) => sum + parseInt((c.width || '0').replace('minmax(', ''), 10), 32 + 16 * (list.length - 1))
  let list = columns
  for (const c of columns.filter((c) => c.drop).sort((a, b) => a.drop - b.drop)) {
    if (need(list) <= width) break
    list = list.filter((x) => x !== c)
  }
  return [list, need(list)]
}

// useSorted sorts rows as sort says; the order of equals stays.
export function useSorted(rows, columns, sort) {
  return useMemo(() => {
    const c = sort && columns.find((x) => x.title === sort.by)
    if (!c || !c.sort) return rows
    const list = rows.map((r) => [c.sort(r), r])
    const way = sort.down ? -1 : 1
    list.sort(([a], [b]) => (a == null ? (b == null ? 0 : 1) : b == null ? -1 : a < b ? -way : a > b ? way : 0))
    return list.map(([, r]) => r)
  }, [rows, sort && sort.by, sort && sort.down])
}
