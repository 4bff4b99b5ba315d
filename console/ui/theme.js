// The theme is set before the first paint. It is the one thing that is kept
// beyond the session.
'use strict'
{
  let wanted = null
  try { wanted = localStorage.getItem('gopura.theme') } catch { /* storage is off: the system's theme */ }
  if (wanted === 'light' || wanted === 'dark') document.documentElement.dataset.theme = wanted
}
