//go:build unix && !interop

package docs

const interop = false
