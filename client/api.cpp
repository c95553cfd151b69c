#include "client/api.h"

#include <algorithm>

#include "client/format.h"

namespace hutch::client {

Result<Json> Api::get(const std::string& target) const {
    return exchange({.method = "GET", .target = target});
}

Result<Json> Api::call(const std::string& method, const std::string& target, const Json& body) const {
    if (body.is_null()) return exchange({.method = method, .target = target});
    return exchange(
        {.method = method, .target = target, .content_type = "application/json", .body = TRY(dump_json(body))});
}

Result<Json> Api::exchange(const Request& request) const {
    Response response = TRY(open(request));
    return read(response, request.target);
}

Result<Json> Api::read(Response& response, const std::string& target) const {
    const std::string text = TRY(response.read_all());
    Json answer = parse_json(text.empty() ? "{}" : std::string_view(text));
    if (answer.is_discarded()) {
        return Error{ErrorKind::kSystem, 0,
                     "what answers at " + endpoint_.host.text + " to " + target + " is not JSON: is it hutchd?"};
    }
    return answer;
}

Result<Response> Api::open(const Request& request) const {
    Response response = TRY(send(endpoint_, request));
    if (response.status() >= 200 && response.status() < 300) return response;
    return api_error(response.status(), TRY(response.read_all()));
}

Error api_error(int status, std::string_view body) {
    const ErrorKind kind = status == 404 ? ErrorKind::kNotFound : ErrorKind::kSystem;
    const std::string sentence = text_of(parse_json(body), "error");
    if (!sentence.empty()) return Error{kind, 0, sentence};
    return Error{kind, 0, "the daemon answered with HTTP status " + std::to_string(status)};
}

std::string box_target(std::string_view box, std::string_view rest) {
    return ("/v2/box/" + percent_encode(box)).append(rest);
}

std::string image_target(std::string_view image, std::string_view rest) {
    std::string target = "/v2/images";  // the names of images may have '/' in them, which it keeps
    for (size_t begin = 0; begin <= image.size();) {
        const size_t end = std::min(image.find('/', begin), image.size());
        target += "/" + percent_encode(image.substr(begin, end - begin));
        begin = end + 1;
    }
    return target.append(rest);
}

Result<std::string> dump_json(const Json& value) {
    try {
        return value.dump();
    } catch (const Json::exception&) {  // bytes that are no UTF-8 are the only reason
        return invalid("an argument is not UTF-8, which the API cannot carry");
    }
}

Json parse_json(std::string_view text) {
    return Json::parse(text, nullptr, false);
}

namespace {

/// The member `key`, or null where `object` is none or has none.
const Json& member_of(const Json& object, const char* key) {
    static const Json null;
    if (!object.is_object()) return null;
    const auto member = object.find(key);
    return member == object.end() ? null : *member;
}

}  // namespace

std::string text_of(const Json& object, const char* key) {
    const Json& member = member_of(object, key);
    return member.is_string() ? member.get<std::string>() : "";
}

double number_of(const Json& object, const char* key) {
    const Json& member = member_of(object, key);
    return member.is_number() ? member.get<double>() : 0;
}

int64_t integer_of(const Json& object, const char* key) {
    const Json& member = member_of(object, key);
    return member.is_number() ? member.get<int64_t>() : 0;
}

uint64_t count_of(const Json& object, const char* key) {
    return static_cast<uint64_t>(std::max<int64_t>(integer_of(object, key), 0));
}

std::string size_of(const Json& object, const char* key) {
    return format_size(count_of(object, key));
}

std::string cost_of(const Json& box) {
    return format_cost(number_of(box, "total_compute_cost_usd") + number_of(box, "total_token_cost_usd"));
}

bool flag_of(const Json& object, const char* key) {
    const Json& member = member_of(object, key);
    return member.is_boolean() && member.get<bool>();
}

Json object_of(const Json& object, const char* key) {
    const Json& member = member_of(object, key);
    return member.is_object() ? member : Json::object();
}

Json array_of(const Json& object, const char* key) {
    const Json& member = member_of(object, key);
    return member.is_array() ? member : Json::array();
}

std::string joined(const Json& texts, std::string_view between) {
    std::string line;
    for (const Json& text : texts) {
        if (!text.is_string()) continue;
        if (!line.empty()) line += between;
        line += text.get<std::string>();
    }
    return line;
}

}  // namespace hutch::client
