#include "daemon/api/codec.h"

#include <algorithm>

#include "daemon/wire/json_text.h"

namespace hutch::daemon {
namespace {

Error wrong_type(const char* field, const char* wanted) {
    return invalid(std::string(field) + ": must be " + wanted);
}

const char* remedy(const Error& error) {
    if (error.code == EDQUOT) {
        return "; the box has all the disk space of its size: delete files in it, or use a box of a larger size";
    }
    return error.out_of_space() ? "; free space on the host's disk, or delete boxes and images" : "";
}

}  // namespace

Result<Fields> Fields::parse(const std::string& body) {
    if (body.empty()) return Fields(Json::object());
    Json parsed = TRY_IN("body", parse_json(body));
    if (!parsed.is_object()) return invalid("body: must be a JSON object");
    return Fields(std::move(parsed));
}

const Json* Fields::find(const char* field) const {
    const auto found = object_.find(field);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::is_null(const char* field) const {
    const auto found = object_.find(field);
    return found != object_.end() && found->is_null();
}

std::string Fields::dump_only(std::initializer_list<const char*> fields) const {
    Json some = Json::object();
    for (const char* field : fields) {
        if (const Json* value = find(field)) some[field] = *value;
    }
    return dump(some);
}

Result<std::optional<std::string>> Fields::text(const char* field) const {
    const Json* value = find(field);
    if (value == nullptr) return std::optional<std::string>();
    if (!value->is_string()) return wrong_type(field, "a string");
    return std::optional(value->get<std::string>());
}

Result<std::string> Fields::text_or(const char* field, const std::string& otherwise) const {
    return TRY(text(field)).value_or(otherwise);
}

Result<std::string> Fields::required_text(const char* field) const {
    auto value = TRY(text(field));
    if (!value) return invalid(std::string(field) + ": is required");
    return *std::move(value);
}

Result<std::string> Fields::take_text(const char* field) {
    const Json* value = find(field);
    if (value == nullptr || !value->is_string()) return required_text(field);
    return std::move(object_[field].get_ref<std::string&>());
}

Result<std::optional<bool>> Fields::flag(const char* field) const {
    const Json* value = find(field);
    if (value == nullptr) return std::optional<bool>();
    if (!value->is_boolean()) return wrong_type(field, "true or false");
    return std::optional(value->get<bool>());
}

Result<std::optional<int64_t>> Fields::number(const char* field) const {
    const Json* value = find(field);
    if (value == nullptr) return std::optional<int64_t>();
    const auto number = whole_number(*value);
    if (!number) return wrong_type(field, "a whole number");
    return number;
}

Result<std::vector<std::string>> Fields::texts(const char* field) const {
    const Json* value = find(field);
    std::vector<std::string> items;
    if (value == nullptr) return items;
    if (!value->is_array()) return wrong_type(field, "an array of strings");
    for (const Json& item : *value) {
        if (!item.is_string()) return wrong_type(field, "an array of strings");
        items.push_back(item.get<std::string>());
    }
    return items;
}

Result<Pairs> Fields::pairs(const char* field) const {
    const Json* value = find(field);
    Pairs items;
    if (value == nullptr) return items;
    if (!value->is_object()) return wrong_type(field, "an object of strings");
    for (const auto& [name, item] : value->items()) {
        if (!item.is_string()) return wrong_type(field, "an object of strings");
        items.emplace_back(name, item.get<std::string>());
    }
    return items;
}

Result<std::optional<Fields>> Fields::object(const char* field) const {
    const Json* value = find(field);
    if (value == nullptr) return std::optional<Fields>();
    if (!value->is_object()) return wrong_type(field, "an object");
    return std::optional(Fields(*value));
}

Result<std::vector<Fields>> Fields::objects(const char* field) const {
    const Json* value = find(field);
    std::vector<Fields> items;
    if (value == nullptr) return items;
    if (!value->is_array()) return wrong_type(field, "an array of objects");
    for (const Json& item : *value) {
        if (!item.is_object()) return wrong_type(field, "an array of objects");
        items.push_back(Fields(item));
    }
    return items;
}

Result<Json> Fields::any_object(const char* field) const {
    const Json* value = find(field);
    if (value == nullptr) return Json();
    if (!value->is_object()) return wrong_type(field, "an object");
    return *value;
}

Response answer(Json json, int status) {
    const auto text = std::make_shared<JsonText>(std::move(json));
    Response response{status, text->next(), "application/json"};
    constexpr size_t kPiece = 256 * 1024;  // each costs a way to another thread and back
    if (!text->done()) response.rest = [text] { return text->next(kPiece); };
    return response;
}

int http_status(const Error& error) {
    if (error.out_of_space()) return 507;
    switch (error.kind) {
        case ErrorKind::kInvalid:
            return 400;
        case ErrorKind::kUnauthorized:
            return 401;
        case ErrorKind::kForbidden:
            return 403;
        case ErrorKind::kNotFound:
            return 404;
        case ErrorKind::kConflict:
            return 409;
        case ErrorKind::kTooLarge:
            return 413;
        case ErrorKind::kLimit:
            return error.code == EBUSY ? 503 : 429;
        case ErrorKind::kTimeout:
            return 408;
        case ErrorKind::kUnsupported:
            return 501;
        case ErrorKind::kSystem:
            return 500;
    }
    return 500;
}

Json error_json(const Error& error) {
    return {{"error", error.message}};
}

Response answer(const Error& error) {
    Response response = answer(Json{{"error", error.message + remedy(error)}}, http_status(error));
    const bool passes = error.code == EBUSY || error.code == ENOBUFS;  // of a MemoryBudget
    if (error.kind == ErrorKind::kLimit && passes) response.headers["Retry-After"] = "1";
    return response;
}

std::string final_event(const char* name, const Json& data) {
    return std::string("event: ") + name + "\ndata: " + dump(data) + "\n\n";
}

Result<std::string> decode_base64(const std::string& field, const std::string& text) {
    std::string packed;
    std::copy_if(text.begin(), text.end(), std::back_inserter(packed), [](char c) { return c != '\n' && c != '\r'; });
    auto bytes = hutch::daemon::decode_base64(packed);
    if (!bytes) return invalid(field + ": is not valid base64");
    return *std::move(bytes);
}

}  // namespace hutch::daemon
