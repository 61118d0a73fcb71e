//! Who may ship what to whom: releases, consent and migration plans.
