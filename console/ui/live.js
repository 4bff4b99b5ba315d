// What is asked again and again. Components that want the same share one
// question; nobody asks while the page is hidden.
import { useEffect, useReducer, useState } from './html.js'
import { get } from './api.js'

const polls = new Map()

class Poll {
  constructor(path) {
    this.path = path
    this.watchers = new Map() // what to call → how often, in ms
    this.state = { data: null, error: null, at: 0, loading: true }
    this.timer = 0
    this.running = false
    this.abort = null
  }

  watch(f, every) {
    this.watchers.set(f, every)
    if (Date.now() - this.state.at >= every) this.ask()
    else this.plan()
    return () => {
      this.watchers.delete(f)
      if (this.watchers.size > 0) return
      clearTimeout(this.timer)
      if (this.abort) this.abort.abort()
      // Kept for a moment: who goes back to a page sees it at once.
      setTimeout(() => { if (this.watchers.size === 0 && polls.get(this.path) === this) polls.delete(this.path) }, 10000)
    }
  }

  plan() {
    clearTimeout(this.timer)
    const every = Math.min(...this.watchers.values())
    if (Number.isFinite(every)) this.timer = setTimeout(() => this.ask(), every)
  }

  async ask() {
    clearTimeout(this.timer)
    if (this.running) return
    if (document.hidden && this.state.data) return this.plan()
    this.running = true
    const abort = this.abort = new AbortController()
    try {
      const data = await get(this.path, abort.signal)
      this.state = { data, error: null, at: Date.now(), loading: false }
    } catch (error) {
      if (!abort.signal.aborted) this.state = { data: this.state.data, error, at: this.state.at, loading: false }
    }
    this.running = false
    if (this.watchers.size === 0) return
    for (const f of [...this.watchers.keys()]) f()
    this.plan()
  }
}

function pollOf(path) {
  let p = polls.get(path)
  if (!p) polls.set(path, p = new Poll(path))
  return p
}

// usePoll asks for path every so many milliseconds: {data, error, at, loading,
// again}. A null path asks nothing.
export function usePoll(path, every) {
  const [, redraw] = useReducer((n) => n + 1, 0)
  useEffect(() => path ? pollOf(path).watch(redraw, every) : undefined, [path, every])
  if (!path) return { data: null, error: null, at: 0, loading: false, again() {} }
  const p = pollOf(path)
  return { ...p.state, again: () => p.ask() }
}

// forget makes every question be asked anew: after something has been changed.
export function refresh(...paths) {
  for (const [path, p] of polls) if (p.watchers.size > 0 && (paths.length === 0 || paths.some((x) => path.startsWith(x)))) p.ask()
}

// drop forgets all answers: they were for whoever has logged out.
export function drop() {
  for (const p of polls.values()) { clearTimeout(p.timer); if (p.abort) p.abort.abort() }
  polls.clear()
}

// useNow is the time, looked at every so often.
export function useNow(every = 1000) {
  const [now, set] = useState(Date.now())
  useEffect(() => {
    const t = setInterval(() => set(Date.now()), every)
    return () => clearInterval(t)
  }, [every])
  return now
}

// How often, in milliseconds.
export const pace = { traffic: 2000, state: 3000, slow: 10000 }
