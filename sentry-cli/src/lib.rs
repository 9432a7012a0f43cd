//! The thin binary sentry; its library part is public.
