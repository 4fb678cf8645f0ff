// Package acl decides what a principal may do on which topic. A Policy is a list of rules; the first rule that matches
// decides, and what no rule matches is denied. Its Decision is the same for a live packet and for a dry run, and Trace
// says how it came about.
//
// The package has no clock, no files and no configuration format: package config builds policies, package explain puts
// traces into words.
package acl
