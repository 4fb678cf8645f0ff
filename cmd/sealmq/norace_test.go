//go:build !race

package main

// slowdown is how much longer the race detector makes what takes processor time.
const slowdown = 1
