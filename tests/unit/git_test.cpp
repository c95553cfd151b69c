// Names that git and its servers know things by.

#include <gtest/gtest.h>

#include "daemon/git/names.h"
#include "daemon/git_identity.h"

namespace hutch::daemon {
namespace {

TEST(Git, BranchesAreThoseGitAllows) {
    for (const char* good : {"main", "feature/one", "v1.2", "a-b_c", "HEAD", "x.lock.y"}) {
        EXPECT_TRUE(check_branch("branch", good).ok()) << good;
    }
    for (const char* bad :
         {"",   "-f", "--force", "a..b", "a b",  "a~1", "a^",     "a:b",      "a?", "a*",    "a[",  "a\\b",
          "/a", "a/", "a//b",    ".a",   "a/.b", "a.",  "a.lock", "a.lock/b", "@",  "a@{1}", "a\nb"}) {
        const auto checked = check_branch("branch", bad);
        ASSERT_FALSE(checked.ok()) << bad;
        EXPECT_TRUE(checked.error().message.starts_with("branch: "));
    }
}

TEST(Git, AddressesAreNoOptionsAndCarryNoPassword) {
    EXPECT_EQ(checked_repo("repo", "github.com/you/project").value(), "https://github.com/you/project");
    for (const char* good : {"https://github.com/you/project", "http://10.0.0.1:80/a", "git@github.com:you/project.git",
                             "ssh://git@github.com/you/project", "/workspace/home/origin"}) {
        EXPECT_EQ(checked_repo("repo", good).value(), good);
    }
    for (const char* bad : {"", "-u", "--upload-pack=x", "ext::sh -c x", "a\nb", "https://token@github.com/a/b",
                            "https://you:password@github.com/a/b"}) {
        EXPECT_FALSE(checked_repo("repo", bad).ok()) << bad;
    }
}

TEST(Git, RemotesAreParsedInEveryForm) {
    for (const char* form : {"https://github.com/you/project", "https://github.com/you/project.git/",
                             "https://token@github.com/you/project.git", "git@github.com:you/project.git",
                             "ssh://git@github.com/you/project"}) {
        const auto repo = parse_remote(form);
        ASSERT_TRUE(repo.ok()) << form;
        EXPECT_EQ(repo.value().host, "github.com") << form;
        EXPECT_EQ(repo.value().owner, "you") << form;
        EXPECT_EQ(repo.value().name, "project") << form;
    }
    for (const char* none : {"", "/workspace/home/origin", "https://github.com", "https://github.com/you",
                             "https://github.com/you/project/tree", "https://github.com/../admin",
                             "https://github.com/you/a?b", "git@github.com:you/../x"}) {
        EXPECT_FALSE(parse_remote(none).ok()) << none;
    }
}

TEST(Git, TokensAreOneWord) {
    EXPECT_TRUE(check_token("github_token", "ghp_0123456789").ok());
    for (const std::string& bad :
         {std::string(), std::string("a b"), std::string("a\nhost=evil"), std::string(2000, 'x')}) {
        EXPECT_FALSE(check_token("github_token", bad).ok());
    }
}

TEST(Git, AnIdentityTakesThePlaceOfTheOneBefore) {
    const std::string ours = "[user]\n\tname = Hutch Box\n\temail = box@hutch.local\n";
    EXPECT_EQ(with_identity("", {"Jo", ""}), "[user]\n\tname = \"Jo\"\n");
    EXPECT_EQ(with_identity(ours, {"Jo \"J\" \\", ""}),
              "[user]\n\temail = box@hutch.local\n[user]\n\tname = \"Jo \\\"J\\\" \\\\\"\n");
    EXPECT_EQ(with_identity(ours, {"Jo", "jo@a"}), "[user]\n\tname = \"Jo\"\n\temail = \"jo@a\"\n");
    // Only what names the user, in each way of writing it; a value may go on.
    const std::string other = "[alias]\n\tname = x\n[core]\n\teditor = vi \\\n[user]\n";
    EXPECT_EQ(with_identity(other + "[User]\n NAME=a \\\n name = b\n\tnames = c\n\tsigningkey = d", {"Jo", ""}),
              other + "[User]\n\tnames = c\n\tsigningkey = d\n[user]\n\tname = \"Jo\"\n");
}

}  // namespace
}  // namespace hutch::daemon
