#include "client/wording.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

namespace hutch::client {
namespace {

/// Fields of the API whose options are called otherwise; the first that the command has is meant. All others are called
/// as their field, or not there: idle_timeout is --idle-timeout.
const std::map<std::string, std::vector<std::string>, std::less<>> kOtherwise = {
    {"allowed_cidrs", {"--allow"}},
    {"allowed_domains", {"--allow"}},
    {"attach_headers", {"HEADER"}},
    {"author_email", {"--author"}},
    {"author_name", {"--author"}},
    {"code", {"FILE"}},
    {"custom_runner", {"--agent-command"}},
    {"denied_cidrs", {"--deny"}},
    {"disk_bytes", {"--disk"}},
    {"env_vars", {"--env", "VARIABLE"}},
    {"folder", {"--workdir"}},
    {"git_user_email", {"--email"}},
    {"git_user_name", {"--name"}},
    {"ids", {"BOX", "SNAPSHOT"}},
    {"label", {"LABEL", "--label"}},
    {"labels", {"LABEL", "--label"}},
    {"memory_bytes", {"--memory"}},
    {"mode", {"MODE"}},
    {"name", {"NAME", "--name"}},
    {"network_policy", {"--network", "MODE"}},
    {"runtime", {"--image", "IMAGE"}},
    {"script", {"--file"}},
    {"snapshot_id", {"--snapshot", "SNAPSHOT"}},
    {"webhook_headers", {"--webhook-header"}},
    {"webhook_url", {"--webhook"}},
};

constexpr std::string_view kFieldLetters = "abcdefghijklmnopqrstuvwxyz_";

/// "name" -> "--name", "NAME": what is not in the table.
std::vector<std::string> same_as(std::string field) {
    std::string upper = field;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    std::replace(field.begin(), field.end(), '_', '-');
    return {"--" + field, upper};
}

std::string option_for(const std::string& field, const std::function<bool(const std::string&)>& has) {
    const auto found = kOtherwise.find(field);
    for (const std::string& option : found == kOtherwise.end() ? same_as(field) : found->second) {
        if (has(option)) return option;
    }
    return "";
}

/// What other programs call our commands.
constexpr std::array<std::pair<std::string_view, std::string_view>, 27> kHabits{{
    {"build", "image build"},
    {"commit", "snapshot create"},
    {"connect", "shell"},
    {"copy", "cp"},
    {"delete", "rm"},
    {"delete", "unset"},
    {"destroy", "rm"},
    {"download", "cp"},
    {"history", "runs"},
    {"images", "image ls"},
    {"kill", "cancel"},
    {"load", "image load"},
    {"login", "context add"},
    {"new", "create"},
    {"pull", "image pull"},
    {"push", "image push"},
    {"remove", "rm"},
    {"remove", "unset"},
    {"rm", "unset"},
    {"rmi", "image rm"},
    {"save", "image save"},
    {"show", "inspect"},
    {"snapshots", "snapshot ls"},
    {"ssh", "shell"},
    {"stats", "top"},
    {"unpause", "resume"},
    {"upload", "cp"},
}};

/// How many letters must be put in, left out, changed, or swapped with their neighbour (optimal string alignment).
size_t distance(std::string_view one, std::string_view other) {
    std::vector<std::vector<size_t>> cost(one.size() + 1, std::vector<size_t>(other.size() + 1));
    for (size_t i = 0; i <= one.size(); ++i) cost[i][0] = i;
    for (size_t j = 0; j <= other.size(); ++j) cost[0][j] = j;
    for (size_t i = 1; i <= one.size(); ++i) {
        for (size_t j = 1; j <= other.size(); ++j) {
            const size_t changed = one[i - 1] == other[j - 1] ? 0 : 1;
            cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + changed});
            const bool swapped = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
            if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    return cost.back().back();
}

/// Fields that are named within the sentence: allowed_cidrs, of which no option is called so, and which nobody typed.
std::string with_options(const std::string& sentence, const std::function<bool(const std::string&)>& has) {
    std::string said;
    bool quoted = false;
    for (size_t at = 0; at < sentence.size();) {
        const size_t end = std::min(sentence.find_first_not_of(kFieldLetters, at), sentence.size());
        if (end == at) {
            quoted ^= sentence[at] == '"';
            said += sentence[at++];
            continue;
        }
        const std::string word = sentence.substr(at, end - at);
        const bool is_field = !quoted && word.find('_') != std::string::npos;
        const std::string option = is_field ? option_for(word, has) : "";
        said += option.empty() ? word : option;
        at = end;
    }
    return said;
}

constexpr std::string_view kKeyHeader = "X-Box-Api-Key: ";

/// Nobody who types commands sends headers.
std::string with_key(const std::string& rest) {
    if (!rest.starts_with("send ")) return "the API key, HUTCH_API_KEY or else the context's: " + rest;
    return "the daemon wants an API key: set HUTCH_API_KEY, or keep one with `hutch context add`";
}

/// What the sentence begins with, and after it.
std::string with_option(const std::string& sentence, const std::function<bool(const std::string&)>& has) {
    const size_t end = sentence.find_first_not_of(kFieldLetters);
    if (end == 0 || end == std::string::npos || (sentence[end] != ':' && sentence[end] != '.')) return sentence;
    const size_t colon =
        sentence.find(": ", end);  // of a member, such as custom_runner.command, the option is the same
    if (colon == std::string::npos || sentence.find(' ', end) < colon) return sentence;
    const std::string option = option_for(sentence.substr(0, end), has);
    if (option.empty()) return sentence;
    return option + ": " + with_option(sentence.substr(colon + 2), has);
}

}  // namespace

std::string in_words_of_command(const std::string& sentence, const std::function<bool(const std::string&)>& has) {
    if (sentence.starts_with(kKeyHeader)) return with_key(sentence.substr(kKeyHeader.size()));
    return with_options(with_option(sentence, has), has);
}

std::string meant_by(std::string_view word, const std::vector<std::string>& known) {
    for (const auto& [habit, ours] : kHabits) {
        const std::string first(ours.substr(0, ours.find(' ')));
        if (word == habit && std::find(known.begin(), known.end(), first) != known.end()) return std::string(ours);
    }
    constexpr size_t kLongest = 32;  // nobody slips into a word that is longer
    if (word.size() > kLongest) return "";
    std::string nearest;
    size_t least = word.size() < 4 ? 2 : 3;  // so many letters amiss are another word
    for (const std::string& one : known) {
        const size_t amiss = distance(word, one);
        if (amiss < least && amiss < one.size()) {
            least = amiss;
            nearest = one;
        }
    }
    return nearest;
}

}  // namespace hutch::client
