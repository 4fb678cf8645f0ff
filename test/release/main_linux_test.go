package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// dynamic is the smallest program that asks for a dynamic linker.
func dynamic(t *testing.T) string {
	t.Helper()
	const headerSize, programSize = 64, 56
	var b bytes.Buffer
	header := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Phoff: headerSize, Ehsize: headerSize, Phentsize: programSize, Phnum: 1,
	}
	for _, part := range []any{header, elf.Prog64{Type: uint32(elf.PT_INTERP)}} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), "dynamic")
	if err := os.WriteFile(name, b.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestStaticRefusesADynamicLinker(t *testing.T) {
	if err := static(dynamic(t)); err == nil {
		t.Error("a program that asks for a dynamic linker passed as static")
	}
}

func TestSizeRefusesAboveTheBudget(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large")
	for size, wrong := range map[int64]bool{maxBytes: false, maxBytes + 1: true} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
		if err := checkSize(name); (err != nil) != wrong {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestSilentFindsASymbol builds this command, because the programs that go test makes have no symbols.
func TestSilentFindsASymbol(t *testing.T) {
	name := filepath.Join(t.TempDir(), "release")
	if out, err := exec.Command("go", "build", "-o", name, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := silent(name, []string{"main.checkSize"}); err == nil {
		t.Error("a function that is linked was not found")
	}
	if err := silent(name, reporting); err != nil {
		t.Error(err)
	}
	if err := silent(dynamic(t), reporting); err == nil {
		t.Error("a program without symbols passed")
	}
}
