package foreigntest

import (
	"fmt"
	"reflect"
)

// Strings calls f with every string that can be reached from v through exported fields, elements and pointers, keys of maps
// too, and where it is.
func Strings(v any, f func(path, s string)) { walk(reflect.ValueOf(v), "", f) }

func walk(v reflect.Value, path string, f func(path, s string)) {
	switch v.Kind() {
	case reflect.String:
		f(path, v.String())
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walk(v.Elem(), path, f)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), f)
		}
	case reflect.Map:
		for key, value := range v.Seq2() {
			walk(key, path+"[key]", f)
			walk(value, fmt.Sprintf("%s[%v]", path, key), f)
		}
	case reflect.Struct:
		for field, value := range v.Fields() {
			if field.IsExported() {
				walk(value, path+"."+field.Name, f)
			}
		}
	}
}
