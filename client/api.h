#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "client/http.h"

namespace hutch::client {

using Json = nlohmann::json;

/// The daemon's HTTP API, answers of which are JSON objects or streams. An answer that is no success becomes an Error
/// with the daemon's own sentence; 404 is kNotFound, everything else kSystem.
class Api {
  public:
    explicit Api(Endpoint endpoint) : endpoint_(std::move(endpoint)) {}

    [[nodiscard]] Result<Json> get(const std::string& target) const;
    /// A request with a JSON body; null is none.
    [[nodiscard]] Result<Json> call(const std::string& method, const std::string& target, const Json& body = {}) const;
    /// A request whose answer is JSON and whose own body need not be.
    [[nodiscard]] Result<Json> exchange(const Request& request) const;
    /// A request whose answer is read as it arrives.
    [[nodiscard]] Result<Response> open(const Request& request) const;
    /// The JSON of an answer to a request of that target.
    [[nodiscard]] Result<Json> read(Response& response, const std::string& target) const;
    [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }

  private:
    Endpoint endpoint_;
};

/// `{"error": ...}` of an answer with that status.
Error api_error(int status, std::string_view body);
/// "/v2/box/{box}" + rest.
std::string box_target(std::string_view box, std::string_view rest = "");
std::string image_target(std::string_view image, std::string_view rest = "");

/// As text for a request. A word of this machine that is not UTF-8 is kInvalid: JSON cannot carry it.
Result<std::string> dump_json(const Json& value);
/// Parses; text that is no JSON gives a discarded value.
Json parse_json(std::string_view text);
/// A member as it may be missing or null in an answer of another version: "", 0 or false then.
std::string text_of(const Json& object, const char* key);
double number_of(const Json& object, const char* key);
int64_t integer_of(const Json& object, const char* key);
/// A size, a time or a number of things, which is never below 0.
uint64_t count_of(const Json& object, const char* key);
bool flag_of(const Json& object, const char* key);
/// A count of bytes for people: "1.5G".
std::string size_of(const Json& object, const char* key);
/// What a box has cost, for people: "$0.0123".
std::string cost_of(const Json& box);
/// The object member `key`, or an empty one.
Json object_of(const Json& object, const char* key);
/// The array member `key`, or an empty one.
Json array_of(const Json& object, const char* key);
/// The texts of an array in one line.
std::string joined(const Json& texts, std::string_view between);

}  // namespace hutch::client
