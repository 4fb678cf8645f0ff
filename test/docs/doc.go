// Package docs runs the commands of the documentation: those of every page in a folder of its own, in their order, with
// the program that this tree builds, and compares what they print with what the page shows.
//
// In a block of the language console a line that begins with "$ " is a command; "  # exits N" behind it is its exit code, 0
// otherwise. The lines below it are everything it prints; without such lines anything may be printed. In a shown line …
// stands for anything, and alone on its line for any number of lines. A block with the name of a file behind its language
// is written to that file. What a page presumes, a file or a running broker, is in the table of pages_test.go, and what
// cannot run in a test in the one of elsewhere_test.go. With the tag interop, more of it can. Nothing of it is for the race
// detector: the programs that run here are other processes, and the tests of their packages look for their races.
package docs
