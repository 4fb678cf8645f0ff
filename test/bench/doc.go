// Command bench loads SealMQ and whatever other brokers are installed with the same traffic in the same minutes, and writes
// a table and charts.
//
//	SEALMQ_LOAD=/path/to/mqttload go run ./test/bench -out docs/performance
//
// The brokers take turns within each run, so that all of them meet the same machine. CPU time of a broker is what the
// kernel accounts to its process, divided by the deliveries in the measured window; rates depend on what else the machine
// does and are shown for orientation only. It runs on Linux.
//
// SEALMQ_LOAD names the load generator; it prints one JSON object for each run (see load.go for what is read of it).
// SEALMQ_BIN is the broker to measure, SEALMQ_FLOOR a relay that only forwards frames, SEALMQ_MOCHI a small main around
// mochi-mqtt that takes an address; mosquitto and nats-server are looked for in PATH. What is not there is left out.
package main
