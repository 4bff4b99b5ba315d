//go:build !race

package transcode

const allowedAllocs = 0
