// Command bench loads SealMQ, and whatever other brokers are there, with the same traffic in the same minutes, and writes
// tables and charts.
//
//	make compare                      # SealMQ beside its peers: docs/performance/compare.md
//	make growth                       # how its costs grow: docs/performance/growth.md
//	go run ./test/bench load -help    # the load generator alone, against any broker
//	go run ./test/bench floor -addr 127.0.0.1:1883
//
// The brokers take turns within each run, so that all of them meet the same machine; each is started anew for each run. It
// measures on Linux.
//
// Peers are mosquitto, from PATH or /usr/sbin, and the programs of test/bench/peers in the folder -bin: nats-server and
// mochi. What is not there is left out. Load generator and relay are this program itself, as processes of their own.
package main
