package main

import (
	stdcrypto "crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/argon2"
)

// crypto holds the cost, in milliseconds on one core, of the cryptography that no broker can avoid. hashing is
// argon2id while every core runs it, as under load: cores share caches and memory.
type crypto struct{ rs256, es256, argon2id, hashing float64 }

func measureCrypto() crypto {
	digest := sha256.Sum256([]byte("a token"))
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	hash := func() { argon2.IDKey([]byte("a password"), make([]byte, 16), 2, 19<<10, 1, 32) }
	cores := runtime.GOMAXPROCS(0)
	return crypto{
		rs256:    each(200, func() { _, _ = rsa.SignPKCS1v15(nil, rsaKey, stdcrypto.SHA256, digest[:]) }),
		es256:    each(2000, func() { _, _ = ecdsa.SignASN1(rand.Reader, ecKey, digest[:]) }),
		argon2id: each(10, hash),
		hashing: each(10, func() {
			var all sync.WaitGroup
			for range cores {
				all.Go(hash)
			}
			all.Wait()
		}) / float64(cores),
	}
}

// each returns the CPU milliseconds of one call, whatever else this machine is doing.
func each(n int, f func()) float64 {
	f() // once to warm up
	began := ownCPU()
	for range n {
		f()
	}
	return float64((ownCPU() - began).Microseconds()) / 1000 / float64(n)
}

// ownCPU is the CPU time of all threads, because argon2 uses goroutines of its own.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it fails for unknown arguments only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
