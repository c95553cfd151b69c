#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "daemon/api/exchange.h"
#include "daemon/base64.h"
#include "daemon/store/records.h"
#include "daemon/wire/json.h"

namespace hutch::daemon {

/// A request's JSON object, read field by field. Unknown fields are ignored, as the contract says; a wrong type is
/// kInvalid and names the field.
class Fields {
  public:
    /// An empty body is an empty object.
    static Result<Fields> parse(const std::string& body);
    /// Of an object that has been read already.
    static Fields of(Json object) { return Fields(std::move(object)); }

    [[nodiscard]] Result<std::optional<std::string>> text(const char* field) const;
    [[nodiscard]] Result<std::string> text_or(const char* field, const std::string& otherwise) const;
    [[nodiscard]] Result<std::string> required_text(const char* field) const;
    /// required_text() without a copy; the field is empty then.
    [[nodiscard]] Result<std::string> take_text(const char* field);
    [[nodiscard]] Result<std::optional<bool>> flag(const char* field) const;
    [[nodiscard]] Result<std::optional<int64_t>> number(const char* field) const;
    [[nodiscard]] Result<std::vector<std::string>> texts(const char* field) const;
    [[nodiscard]] Result<Pairs> pairs(const char* field) const;
    [[nodiscard]] Result<std::optional<Fields>> object(const char* field) const;
    [[nodiscard]] Result<std::vector<Fields>> objects(const char* field) const;
    /// An object as it is, whatever is in it; null for none.
    [[nodiscard]] Result<Json> any_object(const char* field) const;
    [[nodiscard]] bool has(const char* field) const { return find(field) != nullptr; }
    /// It is said, and null; to all others here that is a field that is not said.
    [[nodiscard]] bool is_null(const char* field) const;
    /// These fields alone, of those that are there, as text.
    [[nodiscard]] std::string dump_only(std::initializer_list<const char*> fields) const;

  private:
    explicit Fields(Json object) : object_(std::move(object)) {}
    [[nodiscard]] const Json* find(const char* field) const;
    Json object_;
};

/// What answers have in place of a secret, of a length that tells nothing.
constexpr const char* kMask = "********";

/// A long one is written while it is sent, on another thread than the event loop's.
Response answer(Json json, int status = 200);
Response answer(const Error& error);
int http_status(const Error& error);
Json error_json(const Error& error);
/// The last line of a stream: `event: NAME`, `data: JSON`, blank line.
std::string final_event(const char* name, const Json& data);

Result<std::string> decode_base64(const std::string& field, const std::string& text);

}  // namespace hutch::daemon
