#include "client/build/patterns.h"

#include <algorithm>

#include "client/build/words.h"

namespace hutch::client {
namespace {

constexpr size_t kMostRules = 10'000;

std::vector<std::string_view> parts_of(std::string_view path) {
    std::vector<std::string_view> parts;
    for (size_t at = 0; at <= path.size();) {
        const size_t end = std::min(path.find('/', at), path.size());
        if (end > at) parts.push_back(path.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

struct ClassMatch {
    bool fits = false;
    size_t end = 0;  ///< after the ']'; 0: there is none
};

/// Of the "[...]" that begins at `at`.
ClassMatch match_class(std::string_view pattern, size_t at, char c) {
    size_t i = at + 1;
    const bool negated = i < pattern.size() && (pattern[i] == '^' || pattern[i] == '!');
    if (negated) ++i;
    bool fits = false;
    for (bool first = true; i < pattern.size() && (first || pattern[i] != ']'); first = false) {
        if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
        const auto low = static_cast<unsigned char>(pattern[i++]);
        unsigned char high = low;
        if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
            high = static_cast<unsigned char>(pattern[i + 1]);
            i += 2;
        }
        const auto byte = static_cast<unsigned char>(c);
        fits = fits || (low <= byte && byte <= high);
    }
    if (i >= pattern.size()) return {};
    return {fits != negated, i + 1};
}

/// The length of what fits one byte at `at` of the pattern; 0 where it does not fit.
size_t match_one(std::string_view pattern, size_t at, char c) {
    if (pattern[at] == '?') return 1;
    if (pattern[at] == '[') {
        const ClassMatch match = match_class(pattern, at, c);
        if (match.end > 0) return match.fits ? match.end - at : 0;
    }
    const bool escaped = pattern[at] == '\\' && at + 1 < pattern.size();
    if (pattern[at + (escaped ? 1 : 0)] != c) return 0;
    return escaped ? 2 : 1;
}

/// Of one part; goes back to the last '*' alone.
bool fits_part(std::string_view pattern, std::string_view part) {
    size_t p = 0;
    size_t s = 0;
    size_t star = std::string_view::npos;
    size_t after = 0;
    while (s < part.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            after = s;
            continue;
        }
        const size_t length = p < pattern.size() ? match_one(pattern, p, part[s]) : 0;
        if (length > 0) {
            p += length;
            ++s;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            s = ++after;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

}  // namespace

// reached[s]: the pattern so far fits the first s parts.
bool fits_pattern(std::string_view pattern, std::string_view path) {
    const auto parts = parts_of(path);
    std::vector<bool> reached(parts.size() + 1, false);
    reached[0] = true;
    const auto wanted_parts = parts_of(pattern);
    for (size_t i = 0; i < wanted_parts.size(); ++i) {
        const std::string_view wanted = wanted_parts[i];
        const bool last = i + 1 == wanted_parts.size();  // "a/**" is all beneath a, not a
        std::vector<bool> next(parts.size() + 1, false);
        for (size_t s = 0; s <= parts.size(); ++s) {
            if (wanted == "**") {
                next[s] = (!last && reached[s]) || (s > 0 && (reached[s - 1] || next[s - 1]));
            } else if (s > 0) {
                next[s] = reached[s - 1] && fits_part(wanted, parts[s - 1]);
            }
        }
        reached = std::move(next);
    }
    return reached[parts.size()];
}

bool is_pattern(std::string_view text) {
    return text.find_first_of("*?[\\") != std::string_view::npos;
}

std::string lexical_path(std::string_view path) {
    std::vector<std::string_view> kept;
    for (const std::string_view part : parts_of(path)) {
        if (part == ".") continue;
        if (part != "..") {
            kept.push_back(part);
        } else if (!kept.empty()) {
            kept.pop_back();
        }
    }
    std::string whole = path.starts_with('/') ? "/" : "";
    for (size_t i = 0; i < kept.size(); ++i) whole.append(i > 0 ? "/" : "").append(kept[i]);
    return whole;
}

Result<IgnoreList> IgnoreList::parse(const std::string& name, std::string_view text) {
    IgnoreList list;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        std::string_view line = text.substr(at, end - at);
        at = end + 1;
        if (line.starts_with('#')) continue;
        line = trimmed(line);
        const bool take = line.starts_with('!');
        if (take) line = trimmed(line.substr(1));
        std::string pattern = lexical_path(line);
        if (pattern.starts_with('/')) pattern.erase(0, 1);
        if (pattern.empty()) continue;
        if (list.rules_.size() >= kMostRules) return invalid(name + ": has more than 10,000 patterns");
        list.takes_back_ = list.takes_back_ || take;
        list.rules_.push_back({std::move(pattern), take});
    }
    return list;
}

bool IgnoreList::leaves_out(const std::string& path) const {
    std::vector<std::string_view> above;  // the path, and each directory that holds it
    for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        above.push_back(std::string_view(path).substr(0, slash));
    }
    above.push_back(path);
    const auto rule = std::find_if(rules_.rbegin(), rules_.rend(), [&above](const Rule& one) {
        return std::any_of(above.begin(), above.end(),
                           [&one](std::string_view part) { return fits_pattern(one.pattern, part); });
    });
    return rule != rules_.rend() && !rule->take;
}

}  // namespace hutch::client
