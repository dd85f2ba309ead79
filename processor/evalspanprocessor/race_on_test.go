//go:build race

package evalspanprocessor

// The race detector makes sync.Pool drop what it was given, at random.
const underRaceDetector = true
