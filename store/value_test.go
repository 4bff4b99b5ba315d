package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// eachValues runs a test over Values in memory, in a real redis-server, and sealed there.
func eachValues(t *testing.T, f func(t *testing.T, v Values)) {
	t.Run("memory", func(t *testing.T) { f(t, NewValues()) })
	server := startServer(t)
	open := func(t *testing.T, prefix string) Values {
		s, err := OpenRedis(RedisOptions{Addresses: []string{server.addr()}, Prefix: prefix, Wait: 5 * time.Second, Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s.Values()
	}
	t.Run("redis", func(t *testing.T) { f(t, open(t, "plain[*]")) })
	t.Run("sealed", func(t *testing.T) {
		v, err := Sealed(open(t, "sealed"), strings.Repeat("k", MinSecret))
		if err != nil {
			t.Fatal(err)
		}
		f(t, v)
	})
}

func TestValues(t *testing.T) {
	eachValues(t, func(t *testing.T, v Values) {
		ctx := t.Context()
		want := func(key, value string, there bool) {
			t.Helper()
			got, found, err := v.Get(ctx, key)
			if err != nil || found != there || string(got) != value {
				t.Errorf("%s: %q %v %v, want %q %v", key, got, found, err, value, there)
			}
		}
		want("a", "", false)
		if err := v.Set(ctx, "a", []byte("one\x00\r\n"), 0); err != nil {
			t.Fatal(err)
		}
		want("a", "one\x00\r\n", true)
		if added, err := v.Add(ctx, "a", []byte("two"), 0); added || err != nil {
			t.Errorf("added over what is there: %v %v", added, err)
		}
		if added, err := v.Add(ctx, "b", nil, time.Hour); !added || err != nil {
			t.Errorf("not added: %v %v", added, err)
		}
		want("b", "", true)
		v.Set(ctx, "soon*", []byte("x"), 50*time.Millisecond)
		want("soon*", "x", true)
		time.Sleep(80 * time.Millisecond)
		want("soon*", "", false)
		v.Set(ctx, "a*b", nil, 0)
		if keys, err := v.Keys(ctx, "a"); err != nil || !slices.Equal(slices.Sorted(slices.Values(keys)), []string{"a", "a*b"}) {
			t.Errorf("keys: %q %v", keys, err)
		}
		if keys, err := v.Keys(ctx, "a*"); err != nil || !slices.Equal(keys, []string{"a*b"}) {
			t.Errorf("a star is no pattern: %q %v", keys, err)
		}
		if deleted, err := v.Delete(ctx, "a"); !deleted || err != nil {
			t.Errorf("%v %v", deleted, err)
		}
		if deleted, err := v.Delete(ctx, "a"); deleted || err != nil {
			t.Errorf("deleted twice: %v %v", deleted, err)
		}
		if err := v.Set(ctx, "large", make([]byte, MaxValue+1), 0); !errors.Is(err, errValueSize) {
			t.Errorf("a value that is too large: %v", err)
		}
		if err := v.Set(ctx, "", nil, 0); !errors.Is(err, errValueKey) {
			t.Errorf("no key: %v", err)
		}
	})
}

func TestValueLock(t *testing.T) {
	eachValues(t, func(t *testing.T, v Values) {
		first, err := v.Lock(t.Context(), "work")
		if err != nil {
			t.Fatal(err)
		}
		other, err := v.Lock(t.Context(), "other work")
		if err != nil {
			t.Fatal(err)
		}
		other()
		got := make(chan func())
		go func() {
			second, err := v.Lock(t.Context(), "work")
			if err != nil {
				t.Error(err)
			}
			got <- second
		}()
		select {
		case <-got:
			t.Fatal("two hold one lock")
		case <-time.After(600 * time.Millisecond):
		}
		first()
		first() // a second time it does nothing
		second := <-got
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := v.Lock(short, "work"); err == nil {
			t.Error("the one who unlocked twice has taken the next one's lock away")
		}
		second()
	})
}

// What is sealed can be read with the secret alone, and under its own key alone.
func TestSealed(t *testing.T) {
	plain := NewValues()
	mine, _ := Sealed(plain, strings.Repeat("a", MinSecret))
	theirs, _ := Sealed(plain, strings.Repeat("b", MinSecret))
	ctx := t.Context()
	secret := []byte("a planted private key")
	if err := mine.Set(ctx, "x", secret, 0); err != nil {
		t.Fatal(err)
	}
	raw, _, _ := plain.Get(ctx, "x")
	if bytes.Contains(raw, []byte("planted")) {
		t.Error("the store holds the value as it is")
	}
	if _, _, err := theirs.Get(ctx, "x"); !errors.Is(err, errSeal) {
		t.Errorf("another secret: %v", err)
	}
	plain.Set(ctx, "y", raw, 0)
	if _, _, err := mine.Get(ctx, "y"); !errors.Is(err, errSeal) {
		t.Errorf("a value that was moved: %v", err)
	}
	plain.Set(ctx, "z", raw[:5], 0)
	if _, _, err := mine.Get(ctx, "z"); !errors.Is(err, errSeal) {
		t.Errorf("a value that was cut: %v", err)
	}
	if _, err := Sealed(plain, "short"); err == nil {
		t.Error("a secret that can be guessed is taken")
	}
}

// When Redis is gone, calls fail in time, later at once, and work again by
// themselves when it is back.
func TestValuesOutage(t *testing.T) {
	server := startServer(t)
	s, err := OpenRedis(RedisOptions{Addresses: []string{server.addr()}, Wait: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	v := s.Values()
	get := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, _, err := v.Get(ctx, "k")
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	server.kill()
	for range 5 {
		if get() == nil {
			t.Error("an answer from nobody")
		}
	}
	if err := get(); !errors.Is(err, errOpen) { // without being tried
		t.Errorf("after failures a call is still tried: %v", err)
	}
	server.start()
	for end := time.Now().Add(10 * time.Second); get() != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come back")
		}
	}
}

// What Redis refuses is the caller's affair: the limits, which share the
// connection and its breaker, go on.
func TestValuesRefused(t *testing.T) {
	server := startServer(t)
	s, err := OpenRedis(RedisOptions{Addresses: []string{server.addr()}, Prefix: "p", Wait: 5 * time.Second, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := *s.link.client.Load()
	if err := c.Do(t.Context(), c.B().Lpush().Key("p:list").Element("x").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	for range 2 * breakAfter {
		if _, _, err := s.Values().Get(t.Context(), "list"); err == nil || errors.Is(err, errOpen) {
			t.Fatalf("a list is read as a value: %v", err)
		}
	}
	if s.link.open() {
		t.Error("the breaker is open")
	}
}
