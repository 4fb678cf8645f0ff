// Package faults kills the broker at random moments under load and checks what it promised: nothing acknowledged is
// lost, first receipts are in order, a QoS 2 message is delivered once, retained messages are the last acknowledged,
// and a Will is published exactly once.
//
// The short form runs with the ordinary tests. The long form:
//
//	SEALMQ_FAULT_ROUNDS=50 go test ./test/faults -run TestKill -v -timeout 30m
//
// A run prints its seed; SEALMQ_FAULT_SEED repeats the same choices of what is sent and when the broker is killed.
package faults
