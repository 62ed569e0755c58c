/* SPDX-License-Identifier: Apache-2.0 */
/* version.h - what --version and the status report say. The same number as in meson.build. */
#pragma once

#ifndef HAKMEMD_VERSION
#define HAKMEMD_VERSION "0.1.0"
#endif
