#include "daemon/store/vault.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace hutch::daemon {
namespace {

class VaultTest : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/hutch-vault-XXXXXX";
        path_ = mkdtemp(name);
        file_ = path_ + "/secret.key";
    }
    void TearDown() override { std::filesystem::remove_all(path_); }
    std::string path_;
    std::string file_;
};

TEST_F(VaultTest, WhatIsSealedIsReadAgainWithTheKeyOfTheFile) {
    const auto made = Vault::make(file_);
    ASSERT_TRUE(made.ok());
    struct stat status {};
    ASSERT_EQ(stat(file_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    EXPECT_EQ(status.st_size, 32);
    const auto opened = Vault::open(file_);
    ASSERT_TRUE(opened.ok());
    for (const std::string& clear :
         {std::string("one of its own"), std::string("sec\0ret of many", 15), std::string(100'000, 'y')}) {
        const std::string sealed = made.value().seal(clear, "t.c/1").value();
        EXPECT_EQ(sealed.find(clear), std::string::npos);
        EXPECT_EQ(opened.value().unseal(sealed, "t.c/1").value(), clear);
        EXPECT_NE(made.value().seal(clear, "t.c/1").value(), sealed) << "equal secrets must not look equal";
    }
    EXPECT_EQ(made.value().seal("", "t.c/1").value(), "");
    EXPECT_EQ(made.value().unseal("", "t.c/1").value(), "");
}

TEST_F(VaultTest, WhatWasChangedOrMovedIsRefused) {
    const Vault vault = Vault::make(file_).value();
    const std::string sealed = vault.seal("secret", "t.c/1").value();
    const auto refused = [&vault](const std::string& text, const std::string& place) {
        const auto read = vault.unseal(text, place);
        return !read.ok() && read.error().kind == ErrorKind::kConflict;
    };
    EXPECT_TRUE(refused(sealed, "t.c/2")) << "of another row";
    EXPECT_TRUE(refused(sealed, "t.d/1")) << "of another column";
    EXPECT_TRUE(refused("secret", "t.c/1")) << "in clear";
    for (size_t i = 0; i < sealed.size(); ++i) {
        std::string changed = sealed;
        changed[i] = static_cast<char>(changed[i] ^ 1);
        EXPECT_TRUE(refused(changed, "t.c/1")) << i;
        EXPECT_TRUE(i == 0 || refused(sealed.substr(0, i), "t.c/1")) << i;
    }
    EXPECT_TRUE(Vault::make(file_).ok());
    EXPECT_FALSE(Vault::open(file_).value().unseal(sealed, "t.c/1").ok()) << "by another key";
}

TEST_F(VaultTest, AKeyThatIsNoneOrOpenToOthersIsRefused) {
    EXPECT_EQ(Vault::open(file_).error().code, ENOENT);
    ASSERT_TRUE(Vault::make(file_).ok());
    ASSERT_EQ(chmod(file_.c_str(), 0640), 0);
    EXPECT_NE(Vault::open(file_).error().message.find("is open to others"), std::string::npos);
    ASSERT_EQ(chmod(file_.c_str(), 0600), 0);
    ASSERT_EQ(truncate(file_.c_str(), 31), 0);
    EXPECT_NE(Vault::open(file_).error().message.find("is no key of 32 bytes"), std::string::npos);
}

}  // namespace
}  // namespace hutch::daemon
