//go:build race

package transcode

const allowedAllocs = 1000 // the detector allocates, and empties pools
