#include "daemon/wire/json_schema.h"

#include <algorithm>
#include <map>
#include <set>

#include "daemon/wire/place.h"

namespace hutch::daemon {
namespace {

enum class Kind {
    kNote,  // describes, and does not bind
    kSchema,
    kSchemas,      // an array of them
    kSchemaOrAll,  // one, or one for each item
    kNamed,        // an object of them
    kCount,
    kNumber,
    kNames,
    kList,
    kType,
    kReference,
    kAnything,
};

const std::map<std::string, Kind>& keywords() {
    static const std::map<std::string, Kind> kKeywords = {
        {"$schema", Kind::kNote},
        {"$id", Kind::kNote},
        {"$comment", Kind::kNote},
        {"title", Kind::kNote},
        {"description", Kind::kNote},
        {"default", Kind::kNote},
        {"examples", Kind::kNote},
        {"deprecated", Kind::kNote},
        {"readOnly", Kind::kNote},
        {"writeOnly", Kind::kNote},
        {"format", Kind::kNote},
        {"$defs", Kind::kNamed},
        {"definitions", Kind::kNamed},
        {"properties", Kind::kNamed},
        {"additionalProperties", Kind::kSchema},
        {"not", Kind::kSchema},
        {"items", Kind::kSchemaOrAll},
        {"additionalItems", Kind::kSchema},
        {"anyOf", Kind::kSchemas},
        {"oneOf", Kind::kSchemas},
        {"allOf", Kind::kSchemas},
        {"minItems", Kind::kCount},
        {"maxItems", Kind::kCount},
        {"minLength", Kind::kCount},
        {"maxLength", Kind::kCount},
        {"minProperties", Kind::kCount},
        {"maxProperties", Kind::kCount},
        {"minimum", Kind::kNumber},
        {"maximum", Kind::kNumber},
        {"exclusiveMinimum", Kind::kNumber},
        {"exclusiveMaximum", Kind::kNumber},
        {"multipleOf", Kind::kNumber},
        {"required", Kind::kNames},
        {"enum", Kind::kList},
        {"type", Kind::kType},
        {"$ref", Kind::kReference},
        {"const", Kind::kAnything},
    };
    return kKeywords;
}

constexpr size_t kMostShown = 200;  // of a reference, in an error

const char* const kTypes[] = {"null", "boolean", "object", "array", "number", "string", "integer"};

bool is_type_name(const Json& name) {
    return name.is_string() &&
           std::any_of(std::begin(kTypes), std::end(kTypes), [&](const char* type) { return name == type; });
}

bool is_schema(const Json& json) {
    return json.is_object() || json.is_boolean();
}

template <typename Test>
bool all_of(const Json& list, Test test) {
    return list.is_array() && std::all_of(list.begin(), list.end(), test);
}

class SchemaCheck {
  public:
    explicit SchemaCheck(const Json& root) : root_(root) {}

    Result<void> check(const Json& schema, const Place& place, int depth) {
        if (depth > kMostSchemaDepth) return refuse(place, "is nested too deeply");
        if (!seen_.insert(&schema).second) return {};  // each once: references may go in circles, or lead here often
        if (schema.is_boolean()) return {};
        if (!schema.is_object()) return refuse(place, "must be an object, true or false");
        for (const auto& [keyword, value] : schema.items()) {
            const auto known = keywords().find(keyword);
            if (known == keywords().end()) {
                return refuse(place, "the keyword \"" + keyword.substr(0, kMostShown) +
                                         "\" is none of those that answers are checked by");
            }
            const Place within(place, '/', keyword);
            if (!fits(value, known->second)) return refuse(within, "is not what it must be");
            TRY(check_within(value, known->second, within, depth + 1));
        }
        return {};
    }

  private:
    static Error refuse(const Place& place, const std::string& why) {
        return invalid("json_schema: " + place.text() + ": " + why);
    }

    static bool fits(const Json& value, Kind kind) {
        switch (kind) {
            case Kind::kNote:
            case Kind::kAnything:
            case Kind::kSchema:
                return true;
            case Kind::kSchemaOrAll:
                return is_schema(value) || value.is_array();
            case Kind::kSchemas:
                return value.is_array() && !value.empty();
            case Kind::kNamed:
                return value.is_object();
            case Kind::kCount:
                return value.is_number_unsigned();
            case Kind::kNumber:
                return value.is_number();
            case Kind::kNames:
                return all_of(value, [](const Json& name) { return name.is_string(); });
            case Kind::kList:
                return value.is_array();
            case Kind::kType:
                return is_type_name(value) || (all_of(value, is_type_name) && !value.empty());
            case Kind::kReference:
                return value.is_string();
        }
        return false;
    }

    Result<void> check_within(const Json& value, Kind kind, const Place& place, int depth) {
        if (kind == Kind::kReference) return check_target(value.get_ref<const std::string&>(), place, depth);
        if (kind == Kind::kSchema || (kind == Kind::kSchemaOrAll && !value.is_array()))
            return check(value, place, depth);
        if (kind != Kind::kSchemas && kind != Kind::kSchemaOrAll && kind != Kind::kNamed) return {};
        for (const auto& [name, schema] : value.items()) TRY(check(schema, Place(place, '/', name), depth));
        return {};
    }

    Result<void> check_target(const std::string& reference, const Place& place, int depth) {
        const Json* target = resolve(root_, reference);
        if (target == nullptr) return refuse(place, "\"" + reference.substr(0, kMostShown) + "\" is not in the schema");
        return check(*target, Place(reference), depth);
    }

    const Json& root_;
    std::set<const Json*> seen_;
};

}  // namespace

const Json* resolve(const Json& root, const std::string& reference) {
    if (reference.empty() || reference.front() != '#') return nullptr;
    try {
        const Json::json_pointer pointer(reference.substr(1));
        return root.contains(pointer) ? &root.at(pointer) : nullptr;
    } catch (const Json::exception&) {
        return nullptr;
    }
}

Result<void> check_schema(const Json& schema) {
    return SchemaCheck(schema).check(schema, Place("#"), 0);
}

}  // namespace hutch::daemon
