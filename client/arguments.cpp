#include "client/arguments.h"

#include <algorithm>

namespace hutch::client {
namespace {

/// Whether the value of an option in `word` is the next word: `--workdir`, `-w`, `-itw`, but not `-w/tmp`.
bool wants_next(std::string_view word, std::span<const std::string> valued) {
    const auto is_valued = [&](std::string_view option) {
        return std::find(valued.begin(), valued.end(), option) != valued.end();
    };
    if (word.starts_with("--")) return is_valued(word);
    for (size_t i = 1; i < word.size(); ++i) {
        if (is_valued(std::string("-") + word[i])) return i + 1 == word.size();
    }
    return false;
}

/// The index of the first word from `at` on that is neither an option nor an option's value.
size_t next_positional(std::span<const std::string> words, size_t at, std::span<const std::string> valued) {
    for (; at < words.size(); ++at) {
        const std::string& word = words[at];
        if (!word.starts_with('-')) return at;
        if (wants_next(word, valued)) ++at;
    }
    return words.size();
}

}  // namespace

Arguments part_arguments(std::span<const std::string> words, std::span<const std::string> valued,
                         std::span<const Verb> verbs) {
    const size_t at_verb = next_positional(words, 0, valued);
    const auto verb = std::find_if(verbs.begin(), verbs.end(), [&](const Verb& one) {
        return at_verb < words.size() && words[at_verb] == one.name;
    });
    if (verb == verbs.end()) return {{words.begin(), words.end()}, {}};
    if (verb->after_dashes) {
        const auto dashes = std::find(words.begin(), words.end(), "--");
        if (dashes == words.end()) return {{words.begin(), words.end()}, {}};
        return {{words.begin(), dashes}, {dashes + 1, words.end()}};
    }
    const size_t end = std::min(next_positional(words, at_verb + 1, verb->valued) + 1, words.size());
    size_t command = end;
    if (command < words.size() && words[command] == "--") ++command;
    const auto at = [&](size_t index) { return words.begin() + static_cast<std::ptrdiff_t>(index); };
    return {{words.begin(), at(end)}, {at(command), words.end()}};
}

}  // namespace hutch::client
