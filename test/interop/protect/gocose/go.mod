module github.com/sealmq/sealmq/test/interop/protect/gocose

go 1.26.0

replace github.com/sealmq/sealmq => ../../../..

require (
	github.com/fxamacker/cbor/v2 v2.10.0
	github.com/sealmq/sealmq v0.0.0-00010101000000-000000000000
	github.com/veraison/go-cose v1.3.0
)

require (
	github.com/x448/float16 v0.8.4 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
