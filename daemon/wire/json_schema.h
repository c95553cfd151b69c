#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "daemon/wire/json.h"

namespace hutch::daemon {

// JSON Schema, as far as answers of models need it: type, enum, const; properties, required, additionalProperties;
// items, minItems, maxItems; minLength, maxLength; minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf;
// minProperties, maxProperties; anyOf, oneOf, allOf, not; $ref within the schema. What only describes (title, format,
// default, ...) is passed over, as the standard has it. Schemas and values are strangers': whatever they are, checking
// takes bounded time and stack, which is why there is no `pattern`.

constexpr int kMostSchemaDepth = 200;  ///< of schemas within schemas, references followed

/// kInvalid, naming the place and the keyword, for one that is not known or not well-formed.
Result<void> check_schema(const Json& schema);

/// What a reference such as "#/definitions/a" stands for; null for what the schema does not have.
const Json* resolve(const Json& root, const std::string& reference);

/// Why a text is not the JSON of a value that is valid by a schema, which has been checked; nothing where it is.
std::optional<std::string> violation_of(const Json& schema, const std::string& text);

}  // namespace hutch::daemon
