#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hutch::daemon {

using Json = nlohmann::json;

/// How large a stranger's JSON may be. Few bytes of text become many in memory ("[0,0,0,..."), and trees are copied,
/// written and taken apart by recursion: what its size alone does not bound is bounded before there is a tree.
struct JsonBounds {
    size_t bytes = 256 << 20;  ///< whoever receives the text bounds it more narrowly
    size_t values = 100'000;   ///< of all kinds, names of members not counted
    size_t depth = 64;         ///< of arrays and objects within each other
};

/// Reads one JSON value and nothing else. The only reader of JSON in the daemon: all that comes from clients, boxes,
/// models, other servers, or out of our own records, which hold what these once said. kInvalid, "not valid JSON" or the
/// bound that it exceeds, without the name of a field.
Result<Json> parse_json(std::string_view text, const JsonBounds& bounds = {});

/// The text of a value, and the only writer of it. Never fails: what is not UTF-8 becomes U+FFFD.
std::string dump(const Json& json);
/// The same, in ASCII alone.
std::string dump_ascii(const Json& json);

/// A whole number, be it written 3, 3.0 or 3e2; nothing for any other value, and for one beyond int64_t.
std::optional<int64_t> whole_number(const Json& json);

// Members of an object of a stranger's. Each may be missing or of another type, and `object` may be none.

/// "" for none.
std::string text_at(const Json& object, const char* key);
/// What was counted: 0 for none and for less, at most kMostCounted.
int64_t count_at(const Json& object, const char* key);
constexpr int64_t kMostCounted = int64_t{1} << 53;  ///< what JSON's numbers can tell exactly
/// A price or another amount: 0 for none and for less, at most kMostCounted.
double amount_at(const Json& object, const char* key);
bool flag_at(const Json& object, const char* key);
/// An empty object for none.
const Json& object_at(const Json& object, const char* key);
/// An empty array for none.
const Json& array_at(const Json& object, const char* key);

}  // namespace hutch::daemon
