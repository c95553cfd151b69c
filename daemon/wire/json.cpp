#include "daemon/wire/json.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace hutch::daemon {
namespace {

// Builds the tree while the text is read, and refuses to go on at the first thing too many (json_sax_t). The parser
// that calls it keeps its own place in a vector, not on the stack.
class Builder {
  public:
    explicit Builder(const JsonBounds& bounds) : bounds_(bounds) {}

    bool null() { return add(Json()); }
    bool boolean(bool value) { return add(value); }
    bool number_integer(int64_t value) { return add(value); }
    bool number_unsigned(uint64_t value) { return add(value); }
    bool number_float(double value, const std::string& /*text*/) { return add(value); }
    bool string(std::string& value) { return add(std::move(value)); }
    bool binary(Json::binary_t& /*value*/) { return false; }  // not in text
    bool start_object(size_t /*size*/) { return open(Json::object()); }
    bool start_array(size_t /*size*/) { return open(Json::array()); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool key(std::string& name) {
        name_ = std::move(name);
        return true;
    }
    bool parse_error(size_t at, const std::string& /*token*/, const nlohmann::detail::exception& /*why*/) {
        fault_ = "not valid JSON, at byte " + std::to_string(at);
        return false;
    }

    Result<Json> built(bool whole) && {
        if (whole) return std::move(root_);
        return invalid(std::move(fault_));
    }

  private:
    // Puts the next value where it belongs. A member that is named twice is the last of them.
    Json* place(Json value) {
        if (++values_ > bounds_.values) {
            fault_ = "JSON of more than " + std::to_string(bounds_.values) + " values";
            return nullptr;
        }
        if (open_.empty()) return &(root_ = std::move(value));
        Json& parent = *open_.back();
        if (parent.is_array()) return &parent.emplace_back(std::move(value));
        return &(parent[name_] = std::move(value));
    }
    bool add(Json value) { return place(std::move(value)) != nullptr; }
    bool open(Json value) {
        if (open_.size() == bounds_.depth) {
            fault_ = "JSON nested deeper than " + std::to_string(bounds_.depth) + " levels";
            return false;
        }
        Json* const opened = place(std::move(value));
        if (opened != nullptr) open_.push_back(opened);
        return opened != nullptr;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    const JsonBounds& bounds_;
    Json root_;
    std::vector<Json*> open_;  ///< from the root to where we are; none of them moves while a later one is open
    std::string name_;
    size_t values_ = 0;
    std::string fault_;
};

// A member that is a number.
std::optional<double> number_of(const Json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_number()) return std::nullopt;
    return found->get<double>();
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonBounds& bounds) {
    if (text.size() > bounds.bytes) return invalid("JSON of more than " + std::to_string(bounds.bytes) + " bytes");
    Builder builder(bounds);
    const bool whole = Json::sax_parse(text, &builder);
    return std::move(builder).built(whole);
}

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string dump_ascii(const Json& json) {
    return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::optional<int64_t> whole_number(const Json& json) {
    constexpr double kBeyond = 9223372036854775808.0;  // 2^63; that below it by one is no double
    if (json.is_number_unsigned()) {
        const auto value = json.get<uint64_t>();
        return value <= INT64_MAX ? std::optional(static_cast<int64_t>(value)) : std::nullopt;
    }
    if (json.is_number_integer()) return json.get<int64_t>();
    if (!json.is_number_float()) return std::nullopt;
    const auto value = json.get<double>();
    if (!(value >= -kBeyond && value < kBeyond) || std::trunc(value) != value) return std::nullopt;
    return static_cast<int64_t>(value);
}

std::string text_at(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

double amount_at(const Json& object, const char* key) {
    const double value = number_of(object, key).value_or(0);
    return value > 0 ? std::min(value, static_cast<double>(kMostCounted)) : 0;
}

int64_t count_at(const Json& object, const char* key) {
    return static_cast<int64_t>(amount_at(object, key));
}

bool flag_at(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_boolean() && found->get<bool>();
}

const Json& object_at(const Json& object, const char* key) {
    static const Json kNone = Json::object();
    const auto found = object.find(key);
    return found != object.end() && found->is_object() ? *found : kNone;
}

const Json& array_at(const Json& object, const char* key) {
    static const Json kNone = Json::array();
    const auto found = object.find(key);
    return found != object.end() && found->is_array() ? *found : kNone;
}

}  // namespace hutch::daemon
