package authz

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// A shapeName is a message type that a CheckRequest may hold.
type shapeName uint8

const (
	shapeEmpty shapeName = iota // a message without strings and messages (Timestamp)
	shapeAttributes
	shapePeer
	shapeAddress
	shapeSocketAddress
	shapePipe
	shapeInternalAddress
	shapeRequest
	shapeHTTP
	shapeHeaderMap
	shapeHeaderValue
	shapeTLSSession
	shapeMetadata
	shapeStruct
	shapeValue
	shapeListValue
	shapeAny
	shapeTexts       // entry of map<string, string>
	shapeStructEntry // map<string, Struct>
	shapeAnyEntry    // map<string, Any>
	shapeValueEntry  // map<string, Value>
)

// A shape lists those fields of a message type that can make the generated code refuse it:
// the strings, the messages and the maps. Field numbers stay below 16.
type shape struct {
	strings uint16
	maps    uint16 // of the fields in message, those that are maps
	message [14]shapeName
	nested  uint16 // the fields in message
}

// shapes is checked against the descriptors by TestShapes.
var shapes = [...]shape{
	shapeEmpty: {},
	shapeAttributes: {
		nested: 1<<1 | 1<<2 | 1<<4 | 1<<10 | 1<<11 | 1<<12 | 1<<13,
		maps:   1 << 10,
		message: [14]shapeName{1: shapePeer, 2: shapePeer, 4: shapeRequest, 10: shapeTexts,
			11: shapeMetadata, 12: shapeTLSSession, 13: shapeMetadata},
	},
	shapePeer: {
		strings: 1<<2 | 1<<4 | 1<<5,
		nested:  1<<1 | 1<<3,
		maps:    1 << 3,
		message: [14]shapeName{1: shapeAddress, 3: shapeTexts},
	},
	shapeAddress: {
		nested: 1<<1 | 1<<2 | 1<<3,
		message: [14]shapeName{1: shapeSocketAddress, 2: shapePipe,
			3: shapeInternalAddress},
	},
	shapeSocketAddress:   {strings: 1<<2 | 1<<4 | 1<<5 | 1<<7},
	shapePipe:            {strings: 1 << 1},
	shapeInternalAddress: {strings: 1<<1 | 1<<2},
	shapeRequest: {
		nested:  1<<1 | 1<<2,
		message: [14]shapeName{1: shapeEmpty, 2: shapeHTTP},
	},
	shapeHTTP: {
		strings: 1<<1 | 1<<2 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11,
		nested:  1<<3 | 1<<13,
		maps:    1 << 3,
		message: [14]shapeName{3: shapeTexts, 13: shapeHeaderMap},
	},
	shapeHeaderMap:   {nested: 1 << 1, message: [14]shapeName{1: shapeHeaderValue}},
	shapeHeaderValue: {strings: 1<<1 | 1<<2},
	shapeTLSSession:  {strings: 1 << 1},
	shapeMetadata: {
		nested:  1<<1 | 1<<2,
		maps:    1<<1 | 1<<2,
		message: [14]shapeName{1: shapeStructEntry, 2: shapeAnyEntry},
	},
	shapeStruct: {
		nested: 1 << 1, maps: 1 << 1, message: [14]shapeName{1: shapeValueEntry},
	},
	shapeValue: {
		strings: 1 << 3,
		nested:  1<<5 | 1<<6,
		message: [14]shapeName{5: shapeStruct, 6: shapeListValue},
	},
	shapeListValue: {nested: 1 << 1, message: [14]shapeName{1: shapeValue}},
	shapeAny:       {strings: 1 << 1},
	shapeTexts:     {strings: 1<<1 | 1<<2},
	shapeStructEntry: {
		strings: 1 << 1, nested: 1 << 2, message: [14]shapeName{2: shapeStruct},
	},
	shapeAnyEntry: {
		strings: 1 << 1, nested: 1 << 2, message: [14]shapeName{2: shapeAny},
	},
	shapeValueEntry: {
		strings: 1 << 1, nested: 1 << 2, message: [14]shapeName{2: shapeValue},
	},
}

// skim checks one field of a message whose content nobody wants. depth is how many more
// levels may open below that message.
func (s *shape) skim(f field, depth int) error {
	if f.num >= protowire.Number(len(s.message)) {
		return nil
	}
	bit := uint16(1) << f.num
	switch {
	case s.strings&bit != 0:
		if f.bytes && !utf8.Valid(f.val) {
			return errUTF8
		}
	case s.nested&bit != 0:
		if !f.bytes {
			// The generated code counts the level of a map before it looks at the
			// wire type.
			if s.maps&bit != 0 && depth <= 0 {
				return errDepth
			}
			return nil
		}
		if depth <= 0 {
			return errDepth
		}
		inner := &shapes[s.message[f.num]]
		for b := f.val; len(b) > 0; {
			g, rest, err := next(b)
			if err != nil {
				return err
			}
			b = rest
			if err := inner.skim(g, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}
