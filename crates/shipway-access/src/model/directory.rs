//! All accounts together, as requests are judged by it: kept in memory, made anew after every change. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use shipway_core::{Access, Granted};

use super::{ApiToken, Assignment, Role, User};

/// Who there is, and what they may do.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    users: BTreeMap<i64, User>,
    by_name: HashMap<String, i64>,
    roles: BTreeMap<i64, Role>,
    assignments: Vec<Assignment>,
    tokens: HashMap<String, ApiToken>,
    granted: HashMap<i64, Arc<Granted>>,
    scopes: HashMap<String, Arc<Granted>>,
}

impl Directory {
    pub(crate) fn new(
        users: Vec<User>,
        roles: Vec<Role>,
        assignments: Vec<Assignment>,
        tokens: Vec<ApiToken>,
    ) -> Self {
        let by_name = users.iter().map(|user| (user.name.clone(), user.id)).collect();
        let roles: BTreeMap<i64, Role> = roles.into_iter().map(|role| (role.id, role)).collect();
        let mut of_user: HashMap<i64, Vec<&Role>> = HashMap::new();
        let own = roles.values().filter_map(|role| Some((role.owner_id?, role)));
        let assigned = assignments.iter().filter_map(|one| Some((one.user_id, roles.get(&one.role_id)?)));
        for (user_id, role) in own.chain(assigned) {
            of_user.entry(user_id).or_default().push(role);
        }
        let granted = of_user.iter().map(|(user_id, roles)| {
            let grants = roles.iter().flat_map(|role| role.grants.iter().map(|one| &one.grant));
            (*user_id, Arc::new(Granted::of(grants)))
        });
        let granted = granted.collect();
        let scoped = tokens.iter().filter(|token| !token.scopes.is_empty());
        let scopes = scoped.map(|token| (token.id.clone(), Arc::new(Granted::of(&token.scopes)))).collect();
        Self {
            users: users.into_iter().map(|user| (user.id, user)).collect(),
            by_name,
            roles,
            assignments,
            tokens: tokens.into_iter().map(|token| (token.id.clone(), token)).collect(),
            granted,
            scopes,
        }
    }

    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.get(self.by_name.get(name)?)
    }

    pub(crate) fn user_by_id(&self, id: i64) -> Option<&User> {
        self.users.get(&id)
    }

    /// By id, which is the order in which they were made.
    pub(crate) fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// A role that people made.
    pub(crate) fn role(&self, id: i64) -> Option<&Role> {
        self.roles.get(&id).filter(|role| role.owner_id.is_none())
    }

    pub(crate) fn role_by_name(&self, name: &str) -> Option<&Role> {
        self.roles().find(|role| role.name == name)
    }

    /// The roles that people made, by id.
    pub(crate) fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values().filter(|role| role.owner_id.is_none())
    }

    /// The role that holds the user's own grants, if there are any.
    pub(crate) fn own_role(&self, user_id: i64) -> Option<&Role> {
        self.roles.values().find(|role| role.owner_id == Some(user_id))
    }

    /// The roles that a user was given, by id.
    pub(crate) fn roles_of(&self, user_id: i64) -> Vec<&Role> {
        let own = self.assignments.iter().filter(|one| one.user_id == user_id);
        own.filter_map(|one| self.role(one.role_id)).collect()
    }

    /// Who has a role.
    pub(crate) fn assignments_of_role(&self, role_id: i64) -> impl Iterator<Item = &Assignment> {
        self.assignments.iter().filter(move |one| one.role_id == role_id)
    }

    pub(crate) fn token(&self, id: &str) -> Option<&ApiToken> {
        self.tokens.get(id)
    }

    /// The tokens of a user, by when they were made.
    pub(crate) fn tokens_of(&self, user_id: i64) -> Vec<&ApiToken> {
        let mut own: Vec<&ApiToken> = self.tokens.values().filter(|token| token.user_id == user_id).collect();
        own.sort_by_key(|token| (token.created, &token.id));
        own
    }

    /// What a user may do.
    pub(crate) fn access_of(&self, user: &User) -> Access {
        match (user.is_admin, self.granted.get(&user.id)) {
            (true, _) => Access::everything(),
            (false, Some(granted)) => Access::of(Arc::clone(granted)),
            (false, None) => Access::nothing(),
        }
    }

    /// What the bearer of a token may do.
    pub(crate) fn access_of_token(&self, token: &ApiToken, user: &User) -> Access {
        let access = self.access_of(user);
        match self.scopes.get(&token.id) {
            Some(scopes) => access.within(Arc::clone(scopes)),
            None => access,
        }
    }
}

#[cfg(test)]
mod tests {
    use shipway_core::{Permission, ResourceType, Timestamp};

    use super::*;
    use crate::{model::RoleGrant, secret::SecretHash};

    fn user(id: i64, is_admin: bool) -> User {
        User { id, name: format!("user{id}"), password: None, is_admin, created: Timestamp(id) }
    }

    fn role(id: i64, owner_id: Option<i64>, grants: &[&str]) -> Role {
        let grant = |text: &&str| RoleGrant { id, role_id: id, grant: text.parse().unwrap() };
        let grants = grants.iter().map(grant).collect();
        Role { id, name: format!("role{id}"), description: String::new(), owner_id, grants }
    }

    fn token(id: &str, user_id: i64, scopes: &[&str]) -> ApiToken {
        ApiToken {
            id: id.to_owned(),
            user_id,
            name: id.to_owned(),
            secret: SecretHash::kept(String::new()),
            scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
            created: Timestamp(0),
            expires: Timestamp(1),
        }
    }

    #[test]
    fn a_user_may_do_what_their_roles_and_their_own_grants_allow_together() {
        let assignment = Assignment { id: 1, user_id: 2, role_id: 10 };
        let directory = Directory::new(
            vec![user(1, true), user(2, false), user(3, false)],
            vec![role(10, None, &["table:read"]), role(11, Some(2), &["experiment/7:manage"])],
            vec![assignment],
            vec![token("a", 2, &["table:manage"]), token("b", 2, &[]), token("c", 1, &["table:read"])],
        );
        let access = |name: &str| directory.access_of(directory.user(name).unwrap());
        assert!(access("user1").is_everything());
        assert!(access("user2").allows_every(ResourceType::Table, Permission::Read));
        assert!(access("user2").allows(ResourceType::Experiment, "7", Permission::Manage));
        assert!(!access("user3").allows_every(ResourceType::Table, Permission::Read));
        let of_token = |id: &str| {
            let token = directory.token(id).unwrap();
            directory.access_of_token(token, directory.user_by_id(token.user_id).unwrap())
        };
        assert!(of_token("a").allows_every(ResourceType::Table, Permission::Read));
        assert!(!of_token("a").allows_every(ResourceType::Table, Permission::Write));
        assert!(of_token("b").allows(ResourceType::Experiment, "7", Permission::Manage));
        assert!(!of_token("c").allows_every(ResourceType::Table, Permission::Write));
        assert_eq!(directory.roles().count(), 1);
        assert_eq!(directory.own_role(2).map(|role| role.id), Some(11));
    }
}
