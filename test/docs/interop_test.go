//go:build unix && !race && interop

package docs

// interop: other programs are installed, and the time of a test does not matter.
const interop = true
