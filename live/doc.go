// Package live shows exchanges to those who look while they pass.
//
//	exchange ends ─▶ somebody looks? ─no─▶ nothing: one atomic load
//	                      │ yes
//	                      ├─▶ ring of the latest records
//	                      ├─▶ tails whose filter it passes; a slow one loses records, and is told how many
//	                      └─▶ busiest clients with their series: 256, a bounded sketch
//
// Everything is bounded: tails, what waits for each, the ring, the sketch. What
// nobody has looked at for a while is given back.
package live
