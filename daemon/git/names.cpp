#include "daemon/git/names.h"

#include <algorithm>

#include "base/text.h"

namespace hutch::daemon {
namespace {

constexpr size_t kLongestName = 250;
constexpr size_t kLongestAddress = 2048;
constexpr size_t kLongestToken = 1024;

bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

// git-check-ref-format(1).
bool is_branch(const std::string& name) {
    if (name.empty() || name.size() > kLongestName || has_control(name) || name == "@") return false;
    if (name.find_first_of(" ~^:?*[\\") != std::string::npos) return false;
    for (const char* part : {"..", "@{", "//", "/."}) {
        if (contains(name, part)) return false;
    }
    for (const char* end : {"/", ".", ".lock"}) {
        if (name.ends_with(end)) return false;
    }
    return !contains(name, ".lock/") && name.front() != '-' && name.front() != '/' && name.front() != '.';
}

// "git@host:path": a colon before the first slash.
bool is_scp_form(const std::string& repo) {
    const size_t colon = repo.find(':');
    return colon != std::string::npos && colon > 0 && repo.find('/') > colon;
}

std::string after(const std::string& text, const char* separator) {
    const size_t found = text.find(separator);
    return found == std::string::npos ? text : text.substr(found + std::string_view(separator).size());
}

}  // namespace

Result<void> check_branch(const std::string& field, const std::string& branch) {
    if (is_branch(branch)) return {};
    return invalid(field + ": \"" + branch + "\" is not a name that git allows for a branch");
}

Result<std::string> checked_repo(const std::string& field, const std::string& repo) {
    if (repo.empty() || repo.size() > kLongestAddress || has_control(repo) || repo.front() == '-' ||
        contains(repo, "::")) {
        return invalid(field + ": must be the address of a repository, as https://github.com/you/project");
    }
    if (repo.starts_with("http://") || repo.starts_with("https://")) {
        const std::string rest = after(repo, "://");
        if (contains(rest.substr(0, rest.find('/')), "@")) {
            return invalid(field +
                           ": carries a password or token, which would be written down; give it as github_token");
        }
        return repo;
    }
    if (contains(repo, "://") || repo.front() == '/' || is_scp_form(repo)) return repo;
    return "https://" + repo;
}

Result<void> check_token(const std::string& field, const std::string& token) {
    const bool plain = std::all_of(token.begin(), token.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
    if (token.empty() || token.size() > kLongestToken || !plain) {
        return invalid(field + ": must be a token of at most 1024 letters, digits and signs");
    }
    return {};
}

Result<RepoName> parse_remote(const std::string& url) {
    std::string rest = contains(url, "://") ? after(url, "://") : url;
    const size_t end_of_host = rest.find(contains(url, "://") ? '/' : ':');
    if (end_of_host != std::string::npos) {
        RepoName repo;
        repo.host = rest.substr(0, end_of_host);
        if (contains(repo.host, "@")) repo.host = after(repo.host, "@");
        std::string path = rest.substr(end_of_host + 1);
        while (path.ends_with("/")) path.pop_back();
        if (path.ends_with(".git")) path.resize(path.size() - 4);
        const size_t slash = path.find('/');
        if (slash != std::string::npos) {
            repo.owner = path.substr(0, slash);
            repo.name = path.substr(slash + 1);
            const auto plain = [](const std::string& name) {
                return !name.empty() &&
                       name.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789-_.") == std::string::npos &&
                       name != "." && name != "..";
            };
            if (plain(repo.owner) && plain(repo.name)) return repo;
        }
    }
    return Error{ErrorKind::kConflict, 0, "origin: \"" + url + "\" is not owner/name on a server"};
}

}  // namespace hutch::daemon
