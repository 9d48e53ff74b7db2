package gormdb

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"gorm.io/gorm/schema"
)

// registerSerializers registers what the tags of the rows name.
func registerSerializers() {
	schema.RegisterSerializer("micros", microsSerializer{})
	schema.RegisterSerializer("text", textSerializer{})
}

// microsSerializer stores a time.Time as microseconds since 1970 UTC, the zero time as 0.
type microsSerializer struct{}

// Scan implements schema.SerializerInterface.
func (microsSerializer) Scan(ctx context.Context, field *schema.Field, row reflect.Value, v any) error {
	us, ok := v.(int64)
	if !ok {
		return fmt.Errorf("storage: column %s holds %T, want a number", field.DBName, v)
	}
	var t time.Time
	if us != 0 {
		t = time.UnixMicro(us).UTC()
	}
	field.ReflectValueOf(ctx, row).Set(reflect.ValueOf(t))
	return nil
}

// Value implements schema.SerializerInterface.
func (microsSerializer) Value(_ context.Context, field *schema.Field, _ reflect.Value, v any) (any, error) {
	t, ok := v.(time.Time)
	if !ok {
		return nil, fmt.Errorf("storage: column %s of a %T", field.DBName, v)
	}
	return micros(t), nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// textSerializer stores a list, a map, a struct or a pointer as JSON. An empty list is
// "[]", an empty map "{}", a nil pointer ""; all of them are read as nil.
type textSerializer struct{}

// Scan implements schema.SerializerInterface. Text that can't be read is an error.
func (textSerializer) Scan(ctx context.Context, field *schema.Field, row reflect.Value, v any) error {
	var text []byte
	switch v := v.(type) {
	case string:
		text = []byte(v)
	case []byte:
		text = v
	default:
		return fmt.Errorf("storage: column %s holds %T, want JSON", field.DBName, v)
	}
	read := reflect.New(field.FieldType)
	if s := string(text); s != "" && s != "[]" && s != "{}" {
		if err := json.Unmarshal(text, read.Interface()); err != nil {
			return fmt.Errorf("storage: column %s: %w", field.DBName, err)
		}
	}
	field.ReflectValueOf(ctx, row).Set(read.Elem())
	return nil
}

// Value implements schema.SerializerInterface.
func (textSerializer) Value(_ context.Context, _ *schema.Field, _ reflect.Value, v any) (any, error) {
	return asText(v)
}

func asText(v any) (string, error) {
	switch r := reflect.ValueOf(v); {
	case r.Kind() == reflect.Slice && r.Len() == 0:
		return "[]", nil
	case r.Kind() == reflect.Map && r.Len() == 0:
		return "{}", nil
	case r.Kind() == reflect.Pointer && r.IsNil():
		return "", nil
	}
	text, err := json.Marshal(v)
	return string(text), err
}

// text is the text of a list or a map of strings.
func text(v any) string {
	text, _ := asText(v) // strings never fail
	return text
}
