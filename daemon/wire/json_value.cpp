// Whether a value is valid by a schema.

#include <algorithm>
#include <cmath>

#include "daemon/wire/json_schema.h"
#include "daemon/wire/place.h"

namespace hutch::daemon {
namespace {

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
        Violation found = check(root_, value, Place("$"), 0);
        return exhausted() ? "it is too large to be checked by this schema" : found;
    }

  private:
    [[nodiscard]] bool exhausted() const { return steps_ > kMostSteps; }

    Violation check(const Json& schema, const Json& value, const Place& place, int depth) {
        if (depth > kMostSchemaDepth) steps_ = kMostSteps;
        if (++steps_ > kMostSteps) return place.text();
        if (schema.is_boolean()) return schema.get<bool>() ? Violation() : wrong(place, "must not be there");
        for (const auto& [keyword, rule] : schema.items()) {
            steps_ += rule.size();
            if (auto found = apply(keyword, rule, schema, value, place, depth + 1)) return found;
        }
        return {};
    }

    Violation apply(const std::string& keyword, const Json& rule, const Json& schema, const Json& value,
                    const Place& place, int depth) {
        if (keyword == "$ref") return check(target(rule), value, place, depth);
        if (keyword == "type") return of_type(rule, value, place);
        if (keyword == "const") return is_same(value, rule) ? Violation() : wrong(place, "must be " + shown(rule));
        if (keyword == "enum") {
            const auto same = [&](const Json& each) { return is_same(value, each); };
            const bool listed = std::any_of(rule.begin(), rule.end(), same);
            return listed ? Violation() : wrong(place, "must be one of " + shown(rule));
        }
        if (keyword == "anyOf" || keyword == "oneOf" || keyword == "allOf" || keyword == "not") {
            return combine(keyword, rule, value, place, depth);
        }
        if (value.is_object()) return of_object(keyword, rule, schema, value, place, depth);
        if (value.is_array()) return of_array(keyword, rule, schema, value, place, depth);
        if (value.is_string()) return of_text(keyword, rule, value.get_ref<const std::string&>(), place);
        return value.is_number() ? of_number(keyword, rule, value.get<double>(), place) : Violation();
    }

    Violation wrong(const Place& place, const std::string& why) {
        steps_ += 16;  // a few hundred bytes
        return place.text() + ": " + why;
    }

    // check_schema() has found it.
    const Json& target(const Json& reference) {
        const auto& text = reference.get_ref<const std::string&>();
        steps_ += text.size() / 16;
        return *resolve(root_, text);
    }

    // A comparison looks at each value of both, however deep.
    bool is_same(const Json& value, const Json& rule) {
        if (steps_ > kMostSteps) return false;
        steps_ += size_of(rule);
        return value == rule;
    }

    static size_t size_of(const Json& value) {
        if (value.is_string()) return 1 + value.get_ref<const std::string&>().size() / 64;
        size_t size = 1;
        if (value.is_structured()) {
            for (const Json& item : value) size += size_of(item);
        }
        return size;
    }

    // In a sentence.
    std::string shown(const Json& rule) {
        std::string text = dump_ascii(rule);
        steps_ += text.size() / 64;
        constexpr size_t kMost = 500;
        if (text.size() > kMost) {
            text.resize(kMost);
            text += "...";
        }
        return text;
    }

    Violation of_type(const Json& rule, const Json& value, const Place& place) {
        const auto fits = [&value](const Json& type) { return is_of(value, type.get_ref<const std::string&>()); };
        const bool valid = rule.is_array() ? std::any_of(rule.begin(), rule.end(), fits) : fits(rule);
        return valid ? Violation() : wrong(place, "must be of type " + shown(rule));
    }

    Violation combine(const std::string& keyword, const Json& rule, const Json& value, const Place& place, int depth) {
        if (keyword == "not") {
            return check(rule, value, place, depth) ? Violation() : wrong(place, "must not be valid by " + shown(rule));
        }
        size_t valid = 0;
        Violation last;
        for (const Json& schema : rule) {
            auto found = check(schema, value, place, depth);
            if (found && keyword == "allOf") return found;
            valid += found ? 0 : 1;
            if (found) last = std::move(found);
        }
        if (keyword == "oneOf" && valid > 1) return wrong(place, "must be valid by one of oneOf, and is by several");
        return valid > 0 ? Violation() : last;
    }

    Violation of_object(const std::string& keyword, const Json& rule, const Json& schema, const Json& value,
                        const Place& place, int depth) {
        if (keyword == "required") {
            for (const Json& name : rule) {
                if (!value.contains(name)) return wrong(place, shown(name) + " is required");
            }
        } else if (keyword == "properties") {
            for (const auto& [name, property] : rule.items()) {
                if (!value.contains(name)) continue;
                if (auto found = check(property, value[name], Place(place, '.', name), depth)) return found;
            }
        } else if (keyword == "additionalProperties") {
            const auto known = schema.find("properties");
            steps_ += value.size();
            for (const auto& [name, property] : value.items()) {
                if (known != schema.end() && known->contains(name)) continue;
                if (auto found = check(rule, property, Place(place, '.', name), depth)) return found;
            }
        }
        return of_size(keyword, rule, value.size(), "Properties", place);
    }

    Violation of_array(const std::string& keyword, const Json& rule, const Json& schema, const Json& value,
                       const Place& place, int depth) {
        const auto items = schema.find("items");
        const size_t tuple = items != schema.end() && items->is_array() ? items->size() : value.size();
        const bool rest = keyword == "additionalItems";
        if (keyword != "items" && !rest) return of_size(keyword, rule, value.size(), "Items", place);
        const size_t end = rest ? value.size() : std::min(tuple, value.size());
        for (size_t i = rest ? tuple : 0; i < end; ++i) {
            const Json& each = rule.is_array() ? rule[i] : rule;
            if (auto found = check(each, value[i], Place(place, i), depth)) return found;
        }
        return {};
    }

    Violation of_text(const std::string& keyword, const Json& rule, const std::string& text, const Place& place) {
        if (keyword != "minLength" && keyword != "maxLength") return {};
        steps_ += text.size() / 64;
        return of_size(keyword, rule, length_of(text), "Length", place);
    }

    Violation of_size(const std::string& keyword, const Json& rule, size_t size, const char* what, const Place& place) {
        const bool least = keyword == std::string("min") + what && size < rule.get<size_t>();
        const bool most = keyword == std::string("max") + what && size > rule.get<size_t>();
        return least || most ? wrong(place, keyword + " is " + shown(rule)) : Violation();
    }

    Violation of_number(const std::string& keyword, const Json& rule, double value, const Place& place) {
        const auto limit = [&rule] { return rule.get<double>(); };
        const bool outside = (keyword == "minimum" && value < limit()) || (keyword == "maximum" && value > limit()) ||
                             (keyword == "exclusiveMinimum" && value <= limit()) ||
                             (keyword == "exclusiveMaximum" && value >= limit()) ||
                             (keyword == "multipleOf" && !is_multiple(value, limit()));
        return outside ? wrong(place, keyword + " is " + shown(rule)) : Violation();
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
    const auto value = parse_json(text);
    if (!value.ok()) return "it is not one JSON value and nothing else (" + value.error().message + ")";
    return ValueCheck(schema).check(value.value());
}

}  // namespace hutch::daemon
