//go:build unix && !race && !interop

package docs

const interop = false
