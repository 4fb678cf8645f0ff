// Package protect tests protected payloads against programs that share no code with ours: Debian's mosquitto and its
// clients carry them, pycose opens ours and makes some for us, and a few lines of Python recompute MAC and checksum. The
// tests have the build tag interop and skip, visibly, what is not installed.
package protect
