// Package psk checks psktls against other implementations of TLS-PSK: OpenSSL,
// GnuTLS, Mosquitto, mbedTLS and wolfSSL, as clients and as servers, over the
// loopback interface. Run it with
//
//	go test -tags interop -v ./test/interop/psk/
//
// A peer that is not installed is one visible skip line. The matrix reached is
// printed at the end.
package psk
