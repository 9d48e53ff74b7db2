package storage

import (
	"reflect"
	"testing"

	"gatehouse/broker"
)

// A caller that changes a cached value must not change it for others.
func TestACopyOfAClientSharesNothing(t *testing.T) {
	var c broker.Client
	fields := reflect.ValueOf(&c).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Kind() {
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		}
	}
	copied := reflect.ValueOf(copyClient(c))
	for i := range fields.NumField() {
		f := fields.Field(i)
		if k := f.Kind(); (k == reflect.Slice || k == reflect.Pointer) && f.Pointer() == copied.Field(i).Pointer() {
			t.Errorf("%s is shared", fields.Type().Field(i).Name)
		}
	}
}
