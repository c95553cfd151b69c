// Whether a value is valid by a schema.

#include <algorithm>
#include <cmath>

#include "daemon/agent/json_schema.h"

namespace hutch::daemon {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostSteps = 1'000'000;  // a schema for a value

bool is_integer(const Json& value) {
    return value.is_number_integer() || (value.is_number() && std::trunc(value.get<double>()) == value.get<double>());
}

bool is_of(const Json& value, const std::string& type) {
    if (type == "null") return value.is_null();
    if (type == "boolean") return value.is_boolean();
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    return type == "integer" ? is_integer(value) : value.is_number();
}

// Characters, as Unicode counts them.
size_t length_of(const std::string& text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

using Violation = std::optional<std::string>;

class ValueCheck {
  public:
    explicit ValueCheck(const Json& root) : root_(root) {}

    Violation check(const Json& value) {
        Violation wrong = check(root_, value, "$", 0);
        return exhausted() ? "it is too large to be checked by this schema" : wrong;
    }

  private:
    [[nodiscard]] bool exhausted() const { return steps_ > kMostSteps; }

    Violation check(const Json& schema, const Json& value, const std::string& place, int depth) {
        if (depth > kMostSchemaDepth) steps_ = kMostSteps;
        if (++steps_ > kMostSteps) return place;
        if (schema.is_boolean()) return schema.get<bool>() ? Violation() : place + ": must not be there";
        for (const auto& [keyword, rule] : schema.items()) {
            steps_ += rule.size();
            if (auto wrong = apply(keyword, rule, schema, value, place, depth + 1)) return wrong;
        }
        return {};
    }

    Violation apply(const std::string& keyword, const Json& rule, const Json& schema, const Json& value,
                    const std::string& place, int depth) {
        if (keyword == "$ref") return check(*resolve(root_, rule.get<std::string>()), value, place, depth);
        if (keyword == "type") return of_type(rule, value, place);
        if (keyword == "const") return value == rule ? Violation() : place + ": must be " + shown(rule);
        if (keyword == "enum") {
            const bool listed = std::find(rule.begin(), rule.end(), value) != rule.end();
            return listed ? Violation() : place + ": must be one of " + shown(rule);
        }
        if (keyword == "anyOf" || keyword == "oneOf" || keyword == "allOf" || keyword == "not") {
            return combine(keyword, rule, value, place, depth);
        }
        if (value.is_object()) return of_object(keyword, rule, schema, value, place, depth);
        if (value.is_array()) return of_array(keyword, rule, schema, value, place, depth);
        if (value.is_string()) return of_text(keyword, rule, value.get_ref<const std::string&>(), place);
        return value.is_number() ? of_number(keyword, rule, value.get<double>(), place) : Violation();
    }

    // In a sentence.
    std::string shown(const Json& rule) {
        std::string text = rule.dump(-1, ' ', true);
        steps_ += text.size() / 64;
        constexpr size_t kMost = 500;
        if (text.size() > kMost) text = text.substr(0, kMost) + "...";
        return text;
    }

    Violation of_type(const Json& rule, const Json& value, const std::string& place) {
        const auto fits = [&value](const Json& type) { return is_of(value, type.get_ref<const std::string&>()); };
        const bool valid = rule.is_array() ? std::any_of(rule.begin(), rule.end(), fits) : fits(rule);
        return valid ? Violation() : place + ": must be of type " + shown(rule);
    }

    Violation combine(const std::string& keyword, const Json& rule, const Json& value, const std::string& place,
                      int depth) {
        if (keyword == "not") {
            return check(rule, value, place, depth) ? Violation() : place + ": must not be valid by " + shown(rule);
        }
        size_t valid = 0;
        Violation last;
        for (const Json& schema : rule) {
            auto wrong = check(schema, value, place, depth);
            if (wrong && keyword == "allOf") return wrong;
            valid += wrong ? 0 : 1;
            if (wrong) last = std::move(wrong);
        }
        if (keyword == "oneOf" && valid > 1) return place + ": must be valid by one of oneOf, and is by several";
        return valid > 0 ? Violation() : last;
    }

    Violation of_object(const std::string& keyword, const Json& rule, const Json& schema, const Json& value,
                        const std::string& place, int depth) {
        if (keyword == "required") {
            for (const Json& name : rule) {
                if (!value.contains(name)) return place + ": " + shown(name) + " is required";
            }
        } else if (keyword == "properties") {
            for (const auto& [name, property] : rule.items()) {
                if (!value.contains(name)) continue;
                if (auto wrong = check(property, value[name], place + "." + name, depth)) return wrong;
            }
        } else if (keyword == "additionalProperties") {
            const auto known = schema.find("properties");
            steps_ += value.size();
            for (const auto& [name, property] : value.items()) {
                if (known != schema.end() && known->contains(name)) continue;
                if (auto wrong = check(rule, property, place + "." + name, depth)) return wrong;
            }
        }
        return of_size(keyword, rule, value.size(), "Properties", place);
    }

    Violation of_array(const std::string& keyword, const Json& rule, const Json& schema, const Json& value,
                       const std::string& place, int depth) {
        const auto items = schema.find("items");
        const size_t tuple = items != schema.end() && items->is_array() ? items->size() : value.size();
        const bool rest = keyword == "additionalItems";
        if (keyword != "items" && !rest) return of_size(keyword, rule, value.size(), "Items", place);
        const size_t end = rest ? value.size() : std::min(tuple, value.size());
        for (size_t i = rest ? tuple : 0; i < end; ++i) {
            const Json& each = rule.is_array() ? rule[i] : rule;
            if (auto wrong = check(each, value[i], place + "[" + std::to_string(i) + "]", depth)) return wrong;
        }
        return {};
    }

    Violation of_text(const std::string& keyword, const Json& rule, const std::string& text, const std::string& place) {
        if (keyword != "minLength" && keyword != "maxLength") return {};
        steps_ += text.size() / 64;
        return of_size(keyword, rule, length_of(text), "Length", place);
    }

    Violation of_size(const std::string& keyword, const Json& rule, size_t size, const char* what,
                      const std::string& place) {
        const bool least = keyword == std::string("min") + what && size < rule.get<size_t>();
        const bool most = keyword == std::string("max") + what && size > rule.get<size_t>();
        return least || most ? place + ": " + keyword + " is " + shown(rule) : Violation();
    }

    Violation of_number(const std::string& keyword, const Json& rule, double value, const std::string& place) {
        const auto limit = [&rule] { return rule.get<double>(); };
        const bool wrong = (keyword == "minimum" && value < limit()) || (keyword == "maximum" && value > limit()) ||
                           (keyword == "exclusiveMinimum" && value <= limit()) ||
                           (keyword == "exclusiveMaximum" && value >= limit()) ||
                           (keyword == "multipleOf" && !is_multiple(value, limit()));
        return wrong ? place + ": " + keyword + " is " + shown(rule) : Violation();
    }

    // 0.3 of 0.1, too.
    static bool is_multiple(double value, double of) {
        const double times = value / of;
        return std::abs(times - std::round(times)) <= 1e-9 * std::max(1.0, std::abs(times));
    }

    const Json& root_;
    size_t steps_ = 0;
};

}  // namespace

std::optional<std::string> violation_of(const Json& schema, const std::string& text) {
    const Json value = Json::parse(text, nullptr, false);
    if (value.is_discarded()) return "it is not one JSON value and nothing else";
    return ValueCheck(schema).check(value);
}

}  // namespace hutch::daemon
